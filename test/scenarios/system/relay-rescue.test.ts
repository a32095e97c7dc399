/**
 * A broken disk, played through with real programs: a relay is killed with mail in its queue, its spool is
 * checked and exported, another relay's spool takes the mail, and that relay delivers it. And a torn end of
 * the log is cut at the next start, and counted where a person can see it. And a message whose envelope rots while
 * the relay runs is set aside, and told wherever a person looks.
 */
import { appendFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { systemClock } from "../../../relay/kit/clock.ts";
import { silentLog } from "../../../relay/kit/log.ts";
import { openFileSpool } from "../../../relay/queue/fileSpool.ts";
import { nthId, put } from "../../contract/spool/harness.ts";
import { runProgram } from "../../support/peers/program.ts";
import { recipientsOf, relayAmongPeers } from "../../support/relayAmongPeers.ts";
import { recipient } from "../../support/queuedMessage.ts";
import { smtpPeer } from "../../support/smtpPeer.ts";

const spool = (...words: readonly string[]) =>
  runProgram(process.execPath, ["relay/cli/main.ts", "spool", ...words], { seconds: 30 });

test("mail of a killed relay is exported, imported elsewhere, and delivered from there", async () => {
  const root = await mkdtemp(join(tmpdir(), "rescue-"));
  const recipients = Array.from({ length: 12 }, (_, n) => `u${n}@inbox.test`);
  try {
    const broken = join(root, "broken");
    await using world = await relayAmongPeers({
      peers: { "inbox.test": smtpPeer() },
      spoolDir: broken,
      config: { paused: true },
    });
    for (const recipient of recipients) await world.send(recipient);
    await expect(spool("check", broken)).rejects.toThrow(/uses it\. Stop that relay first/);
    world.relay.program.child.kill("SIGKILL");
    await world.relay.program.stop();

    expect(await spool("check", broken)).toContain("12 messages with 12 waiting recipients");
    await spool("export", broken, join(root, "saved"));
    expect(await spool("import", join(root, "saved"), join(root, "other"))).toContain("12 messages added");
    expect(await spool("import", join(root, "saved"), join(root, "other"))).toContain("0 messages added");

    await using other = await relayAmongPeers({
      peers: { "inbox.test": smtpPeer() },
      spoolDir: join(root, "other"),
    });
    await other.relay.until((told) => told.queue.messages === 0, 60);
    expect(recipientsOf(other.peer("inbox.test").messages)).toEqual(
      recipients.toSorted((a, b) => a.localeCompare(b)),
    );
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}, 120_000);

test("a torn end of the log is cut at the next start, told in the log, and counted as a metric", async () => {
  const root = await mkdtemp(join(tmpdir(), "torn-"));
  try {
    await using world = await relayAmongPeers({
      peers: { "inbox.test": smtpPeer() },
      spoolDir: root,
      config: { paused: true },
    });
    await world.send("kept@inbox.test");
    expect((await world.relay.status("/metrics")).text).toMatch(/^smtp_relay_spool_torn_bytes 0$/m);
    world.relay.program.child.kill("SIGKILL");
    await world.relay.program.stop();
    const logs = (await readdir(root)).filter((name) => name.startsWith("metadata-")).toSorted();
    // The first bytes of a record whose rest the kill cut off.
    await appendFile(join(root, logs.at(-1) ?? ""), Buffer.from("0000010008000000deadbeef01020304", "hex"));

    await world.relay.crashAndRestart();
    const report = await world.relay.until((told) => told.queue.messages === 1);
    expect(report.queue.recipients).toBe(1);
    expect((await world.relay.status("/metrics")).text).toMatch(/^smtp_relay_spool_torn_bytes 16$/m);
    expect(world.relay.program.output()).toContain("a torn end of the spool's log was cut");
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}, 120_000);

test("a message whose envelope rots is set aside: the log, the metric, the report and explain say so, and the others go on", async () => {
  const root = await mkdtemp(join(tmpdir(), "rot-"));
  try {
    // In files of their own, as large mail is: their envelopes are in the log and nowhere else.
    const filled = await openFileSpool({
      ...{ directory: root, clock: systemClock, log: silentLog },
      options: { inlineBytes: 16, reserveBytes: 0 },
    });
    await filled.recover();
    const expiresAt = systemClock.now() + 3_600_000;
    const content = "From: sender@example.test\r\n\r\nlarge enough\r\n";
    for (const [n, address] of [
      [1, "rotten@inbox.test"],
      [2, "sound@inbox.test"],
    ] as const)
      await put(filled, nthId(n), content, {
        expiresAt,
        headerBytes: 29,
        recipients: [recipient({ address })],
      });
    await filled.close();
    await using world = await relayAmongPeers({
      peers: { "inbox.test": smtpPeer() },
      spoolDir: root,
      config: { paused: true },
    });
    await world.relay.until((told) => told.queue.messages === 2);
    const log = join(root, "metadata-0000000001.log");
    const bytes = await readFile(log);
    const at = bytes.indexOf("rotten@inbox.test");
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(log, bytes);

    // The first look finds it.
    const first = await world.cli("explain", nthId(1));
    expect(first).toMatch(/its envelope, at byte \d+ of log 1, is damaged/);
    expect(first).toContain("it is set aside if no other copy of its envelope is left");
    const report = await world.relay.until((told) => told.spool.setAside === 1);
    expect(report.spool.state).toBe("Ok");
    expect((await world.relay.status("/metrics")).text).toMatch(/^smtp_relay_spool_set_aside_messages 1$/m);
    expect(world.relay.program.output()).toContain("a message is set aside");
    for (const command of ["explain", "show"]) {
      const told = await world.cli(command, nthId(1));
      expect(told).toContain("it is kept, and sent to nobody");
      expect(told).toMatch(/its envelope, at byte \d+ of metadata-0000000001\.log, is damaged/);
    }

    await world.apply({ revision: "resumed", paused: false });
    await world.relay.until((told) => told.queue.messages === 0, 60);
    expect(recipientsOf(world.peer("inbox.test").messages)).toEqual(["sound@inbox.test"]);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
}, 120_000);
