/** `spool check`, `dump` and `export`: reads a spool's folder, changes nothing, and says what it found. */
import { mkdir, open, readdir } from "node:fs/promises";
import { join } from "node:path";

import { renderTable } from "../../kit/table.ts";
import type { MessageId, QueuedMessage } from "../../message.ts";
import { type ExportedSpool, EXPORT_FORMAT, toExported } from "../../queue/rescue/exported.ts";
import type { LostBody } from "../../queue/rescue/lostBodies.ts";
import type { SpoolOnDisk } from "../../queue/rescue/readSpool.ts";
import { toLost } from "./lost.ts";
import type { SpoolTerminal } from "./terminal.ts";

/** Envelopes read at a time. */
const STEP = 500;

/** One message as far as it can be read. */
interface Found {
  readonly id: MessageId;
  readonly message: QueuedMessage | null;
  readonly damage: readonly string[];
}

export async function check(spool: SpoolOnDisk, json: boolean, terminal: SpoolTerminal): Promise<number> {
  let recipients = 0;
  let bytes = 0;
  const damaged: { id: MessageId; facts: readonly string[] }[] = [];
  for await (const { id, message, damage } of each(spool, terminal)) {
    const facts = [...damage];
    if (message !== null) {
      recipients += waitingOf(message);
      bytes += message.sizeBytes;
      for await (const block of spool.content(message)) if (block instanceof Error) facts.push(block.message);
    }
    if (facts.length > 0) damaged.push({ id, facts });
  }
  const { tornBytes, records, files, damage } = spool;
  const lost: { id: MessageId; file: string; sizeBytes: number; fact: string }[] = [];
  for await (const { id, file, sizeBytes, fact } of spool.lost()) lost.push({ id, file, sizeBytes, fact });
  const sound = damage.length === 0 && damaged.length === 0 && lost.length === 0;
  if (json) {
    const messages = { queued: spool.ids.length, recipients, bytes, damaged };
    terminal.out([JSON.stringify({ sound, messages, records, files, tornBytes, damage, lost }, null, 2)]);
    return sound ? 0 : 1;
  }
  terminal.out([
    `${spool.ids.length} messages with ${recipients} waiting recipients, ${bytes} bytes of content`,
    `${records} records in ${files.logs} logs, ${files.segments} segments, ${files.messages} files of large messages`,
    tornBytes === 0
      ? "no torn end"
      : `${tornBytes} bytes of a torn end: the relay was killed; nobody was promised what they held`,
    ...damage.map(({ file, fact }) => `DAMAGED  ${file}: ${fact}`),
    ...damaged.flatMap(({ id, facts }) => facts.map((fact) => `DAMAGED  ${id}: ${fact}`)),
    ...lost.map(({ id, file, sizeBytes, fact }) => `LOST     ${id}: ${sizeBytes} bytes in ${file}: ${fact}`),
    sound
      ? "sound: every record and every body is as it was written"
      : `damaged: ${damaged.length} of ${spool.ids.length} messages, ${damage.length} faults of logs, ${lost.length} bodies without envelope. "smtp-relay spool export" saves what can be read.`,
  ]);
  return sound ? 0 : 1;
}

export async function dump(
  spool: SpoolOnDisk,
  order: { readonly id: string | null; readonly json: boolean },
  terminal: SpoolTerminal,
): Promise<number> {
  if (order.id !== null) return dumpOne(spool, order.id, order.json, terminal);
  const rows: string[][] = [];
  let code = 0;
  for await (const { id, message, damage } of each(spool, terminal)) {
    if (message === null) code = 1;
    if (order.json) {
      terminal.out([JSON.stringify(message === null ? { id, damage } : toExported(message))]);
      await terminal.drained();
      continue;
    }
    const first = message?.recipients.find(({ state }) => state.kind === "waiting");
    rows.push(
      message === null
        ? [id, "", "", "", "", "", damage.join("; ")]
        : [
            id,
            new Date(message.receivedAt).toISOString(),
            String(message.sizeBytes),
            message.envelope.from || "<>",
            `${first?.address ?? ""}${message.recipients.length > 1 ? ` and ${message.recipients.length - 1} more` : ""}`,
            String(first?.attempts ?? 0),
            first?.last === null || first === undefined ? "" : `${first.last.code} ${first.last.text}`,
          ],
    );
  }
  const columns = ["ID", "ACCEPTED", "BYTES", "FROM", "TO", "TRIED", "LAST"].map((header) => ({ header }));
  if (!order.json) terminal.out(renderTable({ columns, rows, width: null }));
  return code;
}

async function dumpOne(
  spool: SpoolOnDisk,
  id: string,
  json: boolean,
  terminal: SpoolTerminal,
): Promise<number> {
  const fitting = spool.ids.filter((known) => known.startsWith(id));
  const [only, ...others] = fitting;
  if (only === undefined || others.length > 0) {
    terminal.err([
      only === undefined
        ? `No message ${id} is queued in this spool.`
        : `${id} fits ${fitting.length} messages. Give more of its characters.`,
    ]);
    return 2;
  }
  const [message] = await spool.load([only]);
  if (message === undefined || message instanceof Error) {
    terminal.err([message?.message ?? `Message ${only} cannot be read.`]);
    return 1;
  }
  const envelope = toExported(message);
  const { chunks, facts } = await contentOf(spool, message);
  if (json) {
    const content = Buffer.concat(chunks).toString("base64");
    terminal.out([JSON.stringify({ envelope, content, damage: facts })]);
  } else {
    terminal.out(JSON.stringify(envelope, null, 2).split("\n"));
    terminal.out([""]);
    for (const chunk of chunks) terminal.write(chunk);
    await terminal.drained();
    terminal.err(facts);
  }
  return facts.length === 0 ? 0 : 1;
}

/** Saves what can be read, names what cannot. Each file is on stable storage before the end is told. */
export async function exportTo(spool: SpoolOnDisk, target: string, terminal: SpoolTerminal): Promise<number> {
  const toStream = target === "-";
  if (!toStream) {
    await mkdir(target, { recursive: true });
    if ((await readdir(target)).length > 0) {
      terminal.err([`Cannot export to ${target}: it is not empty. Give a new folder.`]);
      return 2;
    }
  }
  const about: ExportedSpool = {
    format: EXPORT_FORMAT,
    createdAt: spool.createdAt === null ? null : new Date(spool.createdAt).toISOString(),
    usage: [...spool.usage],
  };
  /** A line for each message that was saved, whole or not. */
  const manifest: object[] = [];
  if (toStream) terminal.out([JSON.stringify({ spool: about })]);
  else await save(join(target, "spool.json"), [Buffer.from(`${JSON.stringify(about, null, 2)}\n`)]);
  let saved = 0;
  const lost: string[] = [];
  const damaged: string[] = spool.damage.map(({ file, fact }) => `${file}: ${fact}`);
  for await (const { id, message, damage } of each(spool, terminal)) {
    if (message === null) {
      damaged.push(...damage.map((fact) => `${id}: ${fact}`));
      continue;
    }
    const envelope = toExported(message);
    const { chunks, facts } = await contentOf(spool, message);
    damaged.push(...facts.map((fact) => `${id}: ${fact}`));
    if (facts.length === 0) saved++;
    if (toStream) {
      const content = Buffer.concat(chunks).toString("base64");
      terminal.out([JSON.stringify({ envelope, content, ...(facts.length === 0 ? {} : { damage: facts }) })]);
      await terminal.drained();
      continue;
    }
    // What is left of a damaged one is kept apart, so that it is never sent by mistake.
    const folder = facts.length === 0 ? target : join(target, "damaged");
    const file = `${facts.length === 0 ? "" : "damaged/"}${id}.eml`;
    manifest.push({ id, file, envelope: "whole", ...(facts.length === 0 ? {} : { damage: facts }) });
    if (facts.length > 0) await mkdir(folder, { recursive: true });
    await save(join(folder, `${id}.eml`), chunks);
    await save(join(folder, `${id}.json`), [Buffer.from(`${JSON.stringify(envelope, null, 2)}\n`)]);
  }
  let bodies = 0;
  for await (const body of spool.lost()) {
    bodies++;
    const line = await saveLost(body, toStream ? null : target, terminal);
    manifest.push(line);
    lost.push(`${body.id}: ${[body.fact, ...line.damage].join("; ")}`);
  }
  if (!toStream) {
    const lines = manifest.map((line) => `${JSON.stringify(line)}\n`);
    await save(join(target, "manifest.jsonl"), [Buffer.from(lines.join(""))]);
    const folder = await open(target);
    await folder.sync();
    await folder.close();
  }
  terminal.err([
    ...damaged.map((fact) => `DAMAGED  ${fact}`),
    ...lost.map((fact) => `LOST     ${fact}`),
    `${saved} of ${spool.ids.length} messages saved${toStream ? "" : ` in ${target}`}.`,
    ...(bodies === 0
      ? []
      : [
          `${bodies} bodies without envelope saved${toStream ? "" : ` in ${join(target, "lost")}`}: look at each before it is sent.`,
        ]),
  ]);
  return damaged.length === 0 && bodies === 0 ? 0 : 1;
}

/** Kept apart: nothing of it is sent unless a person says so. */
async function saveLost(body: LostBody, target: string | null, terminal: SpoolTerminal) {
  const { id } = body;
  const chunks: Buffer[] = [];
  const damage: string[] = [];
  for await (const block of body.content()) {
    if (block instanceof Error) damage.push(block.message);
    else chunks.push(block);
  }
  const about = toLost(body, Buffer.concat(chunks));
  const { envelope, fact } = about;
  if (target === null) {
    const content = Buffer.concat(chunks).toString("base64");
    terminal.out([JSON.stringify({ lost: about, content, ...(damage.length === 0 ? {} : { damage }) })]);
    await terminal.drained();
  } else {
    const folder = join(target, "lost");
    await mkdir(folder, { recursive: true });
    await save(join(folder, `${id}.eml`), chunks);
    const text = JSON.stringify(damage.length === 0 ? about : { ...about, damage }, null, 2);
    await save(join(folder, `${id}.json`), [Buffer.from(`${text}\n`)]);
  }
  return { id, file: `lost/${id}.eml`, envelope, fact, damage };
}

async function save(path: string, chunks: readonly Buffer[]): Promise<void> {
  const file = await open(path, "wx", 0o600);
  try {
    for (const chunk of chunks) await file.write(chunk);
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** What can be read of a message's content, and what cannot. Bounded by the largest message. */
async function contentOf(spool: SpoolOnDisk, message: QueuedMessage) {
  const chunks: Buffer[] = [];
  const facts: string[] = [];
  for await (const block of spool.content(message)) {
    if (block instanceof Error) facts.push(block.message);
    else chunks.push(block);
  }
  return { chunks, facts };
}

async function* each(spool: SpoolOnDisk, terminal: SpoolTerminal): AsyncGenerator<Found> {
  const { ids } = spool;
  for (let start = 0; start < ids.length; start += STEP) {
    terminal.progress(`${start} of ${ids.length} messages`);
    const step = ids.slice(start, start + STEP);
    const loaded = await spool.load(step);
    for (const [at, id] of step.entries()) {
      const message = loaded[at];
      if (message === undefined || message instanceof Error)
        yield { id, message: null, damage: [message?.message ?? "it cannot be read"] };
      else yield { id, message, damage: [] };
    }
  }
  terminal.progress("");
}

function waitingOf({ recipients }: QueuedMessage): number {
  return recipients.filter(({ state }) => state.kind === "waiting").length;
}
