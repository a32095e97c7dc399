import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as nextTimers } from "node:timers/promises";

import { expect, onTestFinished, test } from "vitest";

import { tempFolder } from "../../test/support/tempFolder.ts";
import { containerMemory, createLoadProbe } from "./loadProbe.ts";

const MIB = 1024 * 1024;

function folder(files: Readonly<Record<string, string>>): string {
  const temporary = tempFolder();
  onTestFinished(() => temporary[Symbol.dispose]());
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(temporary.path, name, ".."), { recursive: true });
    writeFileSync(join(temporary.path, name), content);
  }
  return temporary.path;
}

test("the working set of a v2 group is its use without file pages that can go", async () => {
  const mount = folder({
    "memory.current": `${300 * MIB}\n`,
    "memory.max": `${512 * MIB}\n`,
    "memory.stat": `anon 1\nfile 2\ninactive_file ${100 * MIB}\nactive_file 3\n`,
  });

  expect(await containerMemory(mount)).toEqual({ usedBytes: 200 * MIB, limitBytes: 512 * MIB });
});

test("and so is that of a v1 group", async () => {
  const mount = folder({
    "memory/memory.usage_in_bytes": `${300 * MIB}\n`,
    "memory/memory.limit_in_bytes": `${512 * MIB}\n`,
    "memory/memory.stat": `inactive_file 7\ntotal_inactive_file ${50 * MIB}\n`,
  });

  expect(await containerMemory(mount)).toEqual({ usedBytes: 250 * MIB, limitBytes: 512 * MIB });
});

test.each([
  ["v2 without a limit", { "memory.current": "1", "memory.max": "max\n", "memory.stat": "" }],
  [
    "v1 without a limit",
    {
      "memory/memory.usage_in_bytes": "1",
      "memory/memory.limit_in_bytes": "9223372036854771712\n",
      "memory/memory.stat": "",
    },
  ],
  ["no group at all", {}],
] as const)("%s: nothing to judge by", async (_, files) => {
  expect(await containerMemory(folder(files))).toBeNull();
});

test("a loop whose turns are long is seen; the heap's limit counts where the container has none", async () => {
  const mount = folder({});
  const probe = createLoadProbe({ diskPath: mount, controlGroups: mount });
  onTestFinished(() => probe.stop());
  const blocked = new Int32Array(new SharedArrayBuffer(4));

  // Most turns are long: one long turn among many short ones is no load.
  await expect
    .poll(async () => {
      for (let turn = 0; turn < 5; turn++) {
        Atomics.wait(blocked, 0, 0, 150);
        await nextTimers(1);
      }
      return (await probe.look()).loopDelayMs;
    })
    .toBeGreaterThan(100);

  const { memory, diskFreeBytes } = await probe.look();
  expect(memory?.limitBytes).toBeGreaterThan(64 * MIB);
  expect(diskFreeBytes).toBeGreaterThan(0);
});
