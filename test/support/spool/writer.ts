/**
 * A process that lives by the file spool, for tests that kill it: it recovers, says what it found, then
 * accepts messages and finishes some of them, and says each thing on standard output only after the spool
 * has promised it. Runs until it is killed.
 *
 *   node writer.ts DIRECTORY SEED LIFE
 *   → recovered ID…        (ids found, space-separated)
 *   → trying ID            commit was called
 *   → accepted ID SHA256   commit was promised
 *   → finishing ID         record was called with its recipient delivered
 *   → finished ID          record was promised
 */
import { createHash } from "node:crypto";
import { writeSync } from "node:fs";

import { systemClock } from "../../../relay/kit/clock.ts";
import { silentLog } from "../../../relay/kit/log.ts";
import { openFileSpool } from "../../../relay/queue/fileSpool.ts";
import { queuedMessage } from "../queuedMessage.ts";
import { seededRandom } from "../seededRandom.ts";
import { recoverAll } from "./recoverAll.ts";

const [directory = "", seed = "1", life = "0"] = process.argv.slice(2);
const random = seededRandom(Number(seed) * 1000 + Number(life));
// A pipe's write is complete when it returns: what was said before the kill was said.
const say = (line: string) => writeSync(1, `${line}\n`);

const spool = await openFileSpool({
  directory,
  clock: systemClock,
  log: silentLog,
  // Small enough that rotation, checkpoints, compaction and files of their own all happen within a second.
  options: {
    reserveBytes: 0,
    segmentBytes: 64 * 1024,
    checkpointBytes: 16 * 1024,
    compactionSlackBytes: 64 * 1024,
    inlineBytes: 32 * 1024,
  },
});
const { messages } = await recoverAll(spool);
say(`recovered ${messages.map((message) => message.id).join(" ")}`);

let next = 0;
const waiting = messages.map((message) => message.id);

async function accept(): Promise<void> {
  const id = `01J${life.padStart(4, "0")}${String(next++).padStart(19, "0")}`;
  const content = Buffer.from(random.bytes(Math.floor(random.draw() ** 4 * 60_000)));
  const writer = await spool.begin(id);
  for (let start = 0; start < content.length; start += 7000)
    await writer.write(content.subarray(start, start + 7000));
  if (random.draw() < 0.1) return writer.abort();
  say(`trying ${id}`);
  await writer.commit(queuedMessage({ id, sizeBytes: content.length }));
  say(`accepted ${id} ${createHash("sha256").update(content).digest("hex")}`);
  waiting.push(id);
}

async function finish(): Promise<void> {
  const [id] = waiting.splice(Math.floor(random.draw() * waiting.length), 1);
  if (id === undefined) return;
  say(`finishing ${id}`);
  const state = { kind: "delivered", at: systemClock.now() } as const;
  await spool.record([{ id, changes: [{ index: 0, recipient: { state, attempts: 1, last: null } }] }]);
  say(`finished ${id}`);
}

async function session(): Promise<never> {
  for (;;) await (random.draw() < 0.55 ? accept() : finish());
}

await Promise.all(Array.from({ length: 8 }, session));
