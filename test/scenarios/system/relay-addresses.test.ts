/** Addresses that come to a pod's network and go, as the real relay says them in a real network namespace. */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

import { expect, test } from "vitest";

import { runProgram } from "../../support/peers/program.ts";

/** Why no network of its own can be made here, or null. */
function cannotPart(): string | null {
  if (process.getuid?.() !== 0) return "only root may make a network namespace";
  const made = spawnSync("unshare", ["--net", "ip", "link", "add", "far", "type", "veth"]);
  return made.status === 0 ? null : "this machine makes no network namespaces (unshare --net, ip link)";
}

test("a relay says which addresses its interfaces bear, and follows them without a restart", async (context) => {
  const reason = cannotPart();
  if (reason !== null) {
    console.warn(`Addresses of a network namespace are not tried: ${reason}.`);
    return context.skip(reason);
  }
  const program = join(import.meta.dirname, "../../support/relayElsewhere.ts");
  const said = await runProgram("unshare", ["--net", "--kill-child", "--fork", process.execPath, program]);

  expect(
    said
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
  ).toEqual([
    { localAddresses: ["127.0.0.1/8", "198.51.100.7", "::1/128"], missing: ["a"] },
    { localAddresses: ["127.0.0.1/8", "192.0.2.10", "198.51.100.7", "::1/128"], missing: [] },
    { localAddresses: ["127.0.0.1/8", "192.0.2.10", "::1/128"], missing: ["b"] },
  ]);
}, 120_000);
