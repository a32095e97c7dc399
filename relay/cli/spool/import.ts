/**
 * `spool import`: exported messages into a spool, by the same commits as new mail, so that what is said to be
 * there is on stable storage. What was imported once is remembered beside the spool (`imported.ids`): a second
 * run adds nothing, even after the relay has sent it.
 */
import { createReadStream } from "node:fs";
import { open, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { systemClock } from "../../kit/clock.ts";
import { silentLog } from "../../kit/log.ts";
import type { MessageId, QueuedMessage } from "../../message.ts";
import { openFileSpool } from "../../queue/fileSpool.ts";
import { exportedMessage, exportedSpool, fromExported } from "../../queue/rescue/exported.ts";
import type { Spool } from "../../queue/spool.ts";
import { fromLost, lostMessage } from "./lost.ts";
import type { SpoolTerminal } from "./terminal.ts";

const LEDGER = "imported.ids";
/** Commits at a time, which share their syncs. */
const AT_ONCE = 64;
const PIECE_BYTES = 64 * 1024;

interface Source {
  readonly name: string;
  readonly envelope: unknown;
  /** Given for a stream; else the file is read as it is written to the spool. */
  readonly content: () => AsyncIterable<Buffer> | Iterable<Buffer>;
}

export async function importFrom(source: string, folder: string, terminal: SpoolTerminal): Promise<number> {
  const spool = await openFileSpool({ directory: folder, clock: systemClock, log: silentLog });
  try {
    const recovered = await spool.recover();
    if (spool.health.state === "Failed") {
      terminal.err([`Cannot import into ${folder}: ${spool.health.reason}.`]);
      return 2;
    }
    const known = new Set<MessageId>(await readLedger(folder));
    for (const { id } of recovered.waiting) known.add(id);
    const counts = { added: 0, known: 0, failed: 0 };
    let group: Source[] = [];
    const flush = async () => {
      const added = await Promise.all(group.map((each) => add(spool, each, known, counts, terminal)));
      group = [];
      // After the commits: were it first, a kill between the two would lose what was never added.
      await writeLedger(
        folder,
        added.flatMap((id) => id ?? []),
      );
      terminal.progress(`${counts.added} added, ${counts.known} known`);
    };
    for await (const each of source === "-" ? fromStream(terminal, spool) : fromFolder(source, spool)) {
      group.push(each);
      if (group.length === AT_ONCE) await flush();
    }
    await flush();
    terminal.progress("");
    terminal.out([
      `${counts.added} messages added, ${counts.known} were here already, ${counts.failed} could not be taken. The relay may be started.`,
    ]);
    return counts.failed === 0 ? 0 : 1;
  } finally {
    await spool.close();
  }
}

async function add(
  spool: Spool,
  { name, envelope, content }: Source,
  known: Set<MessageId>,
  counts: { added: number; known: number; failed: number },
  terminal: SpoolTerminal,
): Promise<MessageId | null> {
  try {
    const message = await messageOf(envelope, content);
    if (known.has(message.id)) {
      counts.known++;
      return null;
    }
    known.add(message.id);
    const writer = await spool.begin(message.id);
    try {
      for await (const chunk of content()) {
        for (let at = 0; at < chunk.length; at += PIECE_BYTES)
          await writer.write(chunk.subarray(at, at + PIECE_BYTES));
      }
      await writer.commit(message);
    } catch (error) {
      await writer.abort();
      throw error;
    }
    counts.added++;
    return message.id;
  } catch (error) {
    counts.failed++;
    terminal.err([`Cannot import ${name}: ${error instanceof Error ? error.message : String(error)}`]);
    return null;
  }
}

/** As it was exported; of one without its envelope, as a person has written it in. */
async function messageOf(envelope: unknown, content: Source["content"]): Promise<QueuedMessage> {
  const { envelope: state, damage } = (envelope ?? {}) as {
    readonly envelope?: unknown;
    readonly damage?: unknown;
  };
  if (damage !== undefined)
    throw new Error('its content is damaged. If what is left shall be sent, take "damage" out of its .json');
  if (state !== "lost") return fromExported(exportedMessage.parse(envelope));
  const lost = lostMessage.parse(envelope);
  const chunks: Buffer[] = [];
  for await (const chunk of content()) chunks.push(chunk);
  return fromLost(lost, Buffer.concat(chunks), systemClock.now());
}

async function* fromFolder(source: string, spool: Spool): AsyncGenerator<Source> {
  const names = await readdir(source);
  if (names.includes("spool.json"))
    await takeUsage(spool, JSON.parse(await readFile(join(source, "spool.json"), "utf8")));
  for (const name of names.toSorted()) {
    const id = /^([0-9A-Z]{26})\.json$/.exec(name)?.[1];
    if (id === undefined) continue;
    const envelope: unknown = JSON.parse(await readFile(join(source, name), "utf8"));
    yield {
      name,
      envelope,
      content: () => createReadStream(join(source, `${id}.eml`)) as AsyncIterable<Buffer>,
    };
  }
}

async function* fromStream(terminal: SpoolTerminal, spool: Spool): AsyncGenerator<Source> {
  let line = 0;
  for await (const text of createInterface({
    input: terminal.input(),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    line++;
    if (text === "") continue;
    const entry = JSON.parse(text) as {
      spool?: unknown;
      envelope?: unknown;
      content?: string;
      damage?: unknown;
      lost?: unknown;
    };
    if (entry.spool !== undefined) await takeUsage(spool, entry.spool);
    // What is damaged, or without its envelope, is for people to look at, not to be sent.
    else if (entry.damage === undefined && entry.lost === undefined)
      yield {
        name: `line ${line}`,
        envelope: entry.envelope,
        content: () => [Buffer.from(entry.content ?? "", "base64")],
      };
  }
}

async function takeUsage(spool: Spool, about: unknown): Promise<void> {
  const { usage } = exportedSpool.parse(about);
  if (usage.length > 0) await spool.recordUsage(usage);
}

async function readLedger(folder: string): Promise<string[]> {
  const text = await readFile(join(folder, LEDGER), "utf8").catch(() => "");
  return text.split("\n").filter((line) => line.length === 26);
}

async function writeLedger(folder: string, ids: readonly MessageId[]): Promise<void> {
  if (ids.length === 0) return;
  const file = await open(join(folder, LEDGER), "a", 0o600);
  try {
    await file.write(ids.map((id) => `${id}\n`).join(""));
    await file.datasync();
  } finally {
    await file.close();
  }
}
