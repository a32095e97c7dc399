/**
 * The disk under the spool fails while the relay runs: full, so that new mail finds no room, or refusing
 * every write. Clients hear 4xx, the pod is not ready, and all goes on by itself once the disk is well.
 *
 * The full disk is a small tmpfs, which only root may mount; without root that story prints why it is left
 * out. Refused writes are a limit on file size set on the running process, which needs no privilege.
 */
import { execFileSync } from "node:child_process";
import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { expect, onTestFinished, test } from "vitest";

import { recipientsOf, relayAmongPeers, SENDER, submit } from "../../support/relayAmongPeers.ts";
import { smtpPeer } from "../../support/smtpPeer.ts";
import { tempFolder } from "../../support/tempFolder.ts";

const MIB = 1024 * 1024;

/** A file system of its own, or why there can be none. */
function smallDisk(mebibytes: number): { readonly path: string } | { readonly reason: string } {
  if (process.getuid?.() !== 0) return { reason: "only root may mount a tmpfs" };
  const folder = tempFolder();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${mebibytes}m`, "tmpfs", folder.path], {
      stdio: "pipe",
    });
  } catch (error) {
    folder[Symbol.dispose]();
    return { reason: `tmpfs cannot be mounted here: ${String(error)}` };
  }
  onTestFinished(() => {
    execFileSync("umount", ["--lazy", folder.path]);
    folder[Symbol.dispose]();
  });
  return folder;
}

test("a disk that is full refuses new mail with 452, delivers what it has, and recovers by itself", async (context) => {
  const disk = smallDisk(128);
  if ("reason" in disk) {
    console.warn(`A full disk is not tried: ${disk.reason}.`);
    return context.skip(disk.reason);
  }
  const spoolDir = join(disk.path, "spool");
  await using world = await relayAmongPeers({
    spoolDir,
    peers: { "inbox.test": smtpPeer().on("RCPT", "450 4.2.0 later", { times: 1 }) },
    config: {
      queue: { expireAfterSeconds: 432_000, retry: { firstDelaySeconds: 1, longestDelaySeconds: 1 } },
    },
  });
  const session = await world.client();
  const kept = await submit(session, ["one@inbox.test"]);

  const ballast = join(disk.path, "ballast");
  await writeFile(ballast, Buffer.alloc(100 * MIB, 1));
  await expect
    .poll(
      async () => {
        await session.say("RSET", 250);
        session.raw(`MAIL FROM:<${SENDER}>\r\n`);
        const mail = await session.reply();
        if (mail.code !== 250) return mail.whole;
        await session.say("RCPT TO:<two@inbox.test>", 250);
        session.raw("DATA\r\n");
        const data = await session.reply();
        if (data.code !== 354) return data.whole;
        session.raw(".\r\n");
        return (await session.reply()).whole;
      },
      { timeout: 10_000 },
    )
    .toMatch(/^452 4\.3\.1 /);
  expect(await world.relay.status("/readyz")).toMatchObject({
    code: 503,
    text: expect.stringMatching(/full/),
  });
  expect(await world.relay.status("/healthz")).toMatchObject({ code: 200 });
  expect(await world.relay.report()).toMatchObject({ ready: false, spool: { state: "Failed" } });
  const peer = world.peer("inbox.test");
  await peer.until(() => peer.messages.some(({ recipients }) => recipients[0]?.address === "one@inbox.test"));
  await expect.poll(() => world.cli("queue", "--ids"), { timeout: 10_000 }).not.toContain(kept);

  await rm(ballast);
  await expect.poll(async () => (await world.relay.status("/readyz")).code, { timeout: 20_000 }).toBe(200);
  await session.say("RSET", 250);
  await submit(session, ["three@inbox.test"]);
  await world.relay.until(({ queue }) => queue.messages === 0);
});

test("a disk that refuses every write: 451, not ready, delivery waits; then all goes on and nothing is lost", async () => {
  await using world = await relayAmongPeers({
    peers: { "inbox.test": smtpPeer().on("RCPT", "450 4.2.0 later", { times: 1 }) },
    config: {
      queue: { expireAfterSeconds: 432_000, retry: { firstDelaySeconds: 1, longestDelaySeconds: 1 } },
    },
  });
  const limitFileSize = (limit: string) =>
    execFileSync("prlimit", ["--pid", String(world.relay.pid), `--fsize=${limit}:`]);
  const session = await world.client();
  await submit(session, ["one@inbox.test"]);

  limitFileSize("0");
  await session.begin(SENDER, "two@inbox.test");
  session.raw(`From: ${SENDER}\r\n\r\nHello.\r\n.\r\n`);
  await session.expect("451 4.3.0");
  await session.say(`MAIL FROM:<${SENDER}>`, "451 4.3.0");
  expect(await world.relay.status("/readyz")).toMatchObject({
    code: 503,
    text: expect.stringMatching(/spool failed/),
  });
  expect(await world.relay.status("/healthz")).toMatchObject({ code: 200 });
  expect(await world.cli("queue")).toMatch(/cannot record/);

  limitFileSize("unlimited");
  await expect.poll(async () => (await world.relay.status("/readyz")).code, { timeout: 20_000 }).toBe(200);
  await submit(session, ["three@inbox.test"]);
  await world.relay.until(({ queue }) => queue.messages === 0);
  expect(recipientsOf(world.peer("inbox.test").messages)).toEqual(["one@inbox.test", "three@inbox.test"]);
});
