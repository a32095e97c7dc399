/**
 * What is done to each store, and how it is measured: from inside the process, with the clock of the kernel for
 * CPU (`cpuUsage`: all threads; `threadCpuUsage`: this one) and its books for bytes (/proc/self/io) and memory.
 */
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";

import { systemClock } from "../../../relay/kit/clock.ts";
import { createUlids } from "../../../relay/kit/ulid.ts";
import type { QueuedMessage } from "../../../relay/message.ts";
import { memoryMib, processMemory, writtenBytes } from "../machine.ts";
import { storedBytes } from "./disk.ts";
import type { Store } from "./engine.ts";

export type Open = (folder: string) => Promise<Store>;

export const phases = ["put", "record", "read", "remove"] as const;
export type Phase = (typeof phases)[number];

export interface PhaseResult {
  readonly perSecond: number;
  /** CPU a message, milliseconds: of the main thread, and of the whole process. */
  readonly mainCpuMs: number;
  readonly cpuMs: number;
  readonly bytesWritten: number;
}

export interface LifeResult {
  readonly phases: Readonly<Record<Phase, PhaseResult>>;
  /** Of a message from put to remove, with what the store still writes when it is closed. */
  readonly bytesWritten: number;
}

export interface RecoverResult {
  readonly messages: number;
  /** From opening the store until every waiting message was told. */
  readonly toldSeconds: number;
  readonly cpuSeconds: number;
  /** Until a new message was durable after that. */
  readonly takesSeconds: number;
  /** PSS when all is told and garbage collected, and what of it is not a mapped file. */
  readonly mib: number;
  readonly anonymousMib: number;
  /** Of the folder: with all messages, after all were removed, and when the store was closed. */
  readonly fullMib: number;
  readonly removedMib: number;
  readonly closedMib: number;
  readonly contentMib: number;
}

export interface LargeResult {
  readonly mib: number;
  /** Largest memory above what it was before, in all, and without mapped files. */
  readonly putMib: number;
  readonly putAnonymousMib: number;
  readonly readMib: number;
  readonly readAnonymousMib: number;
  readonly putSeconds: number;
  readonly readSeconds: number;
}

const MIB = 1024 * 1024;
export const MESSAGE_BYTES = 10 * 1024;
const PIECE = 16 * 1024;
const HOUR_MS = 3_600_000;
const SAID = "The server is too busy to take your message now, please try again later";

const newId = createUlids({
  clock: systemClock,
  random: { bytes: (count) => randomBytes(count), draw: Math.random },
});

function messageOf(number: number, sizeBytes: number): QueuedMessage {
  const now = Date.now();
  const domain = `d${number % 100}.test`;
  return {
    id: newId(),
    receivedAt: now,
    expiresAt: now + 120 * HOUR_MS,
    envelope: { from: "sender@example.test", smtpUtf8: false, eightBitMime: true, requireTls: false },
    credential: "app",
    sendingDomain: "example.test",
    ...{ sizeBytes, headerBytes: 300, bodyHash: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=" },
    recipients: [
      {
        address: `r${number}@${domain}`,
        domain,
        state: { kind: "waiting", dueAt: now },
        attempts: 0,
        last: null,
      },
    ],
  };
}

/** Content that tells which message it is of, so that what is read can be held against what was put. */
function contentOf({ id, sizeBytes }: QueuedMessage): Buffer {
  const content = Buffer.alloc(sizeBytes, "A line of a message as people write them, more or less.\r\n");
  content.write(id, "latin1");
  return content;
}

/** `work` for each of `items`, so many at a time. */
async function each<T>(
  items: readonly T[],
  inFlight: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const lane = async () => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item);
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
}

const steps: Readonly<Record<Phase, (store: Store, message: QueuedMessage) => Promise<void>>> = {
  put: (store, message) => store.put(message, [contentOf(message)]),
  async record(store, { id, receivedAt, recipients }) {
    const domain = recipients[0]?.domain ?? "";
    const last = {
      at: receivedAt,
      source: "a",
      host: `mx.${domain}`,
      code: 451,
      enhanced: "4.7.1",
      text: SAID,
      rule: "generic/4xx",
    };
    const state = { kind: "waiting", dueAt: receivedAt + HOUR_MS } as const;
    await store.record({ id, changes: [{ index: 0, recipient: { state, attempts: 1, last } }] });
  },
  async read(store, { id, sizeBytes, receivedAt }) {
    let bytes = 0;
    let begin = "";
    const message = await store.read(id, (piece) => {
      if (bytes === 0) begin = Buffer.from(piece.subarray(0, 26)).toString("latin1");
      bytes += piece.length;
    });
    const [recipient] = message.recipients;
    const isRight =
      bytes === sizeBytes &&
      begin === id &&
      recipient?.attempts === 1 &&
      recipient.state.kind === "waiting" &&
      recipient.state.dueAt === receivedAt + HOUR_MS;
    if (!isRight) throw new Error(`Message ${id} was read otherwise than it was put.`);
  },
  remove: (store, { id }) => store.remove(id),
};

/** A message's life in phases, each of all messages: durable put, one outcome, read back, remove. */
export async function life(
  open: Open,
  folder: string,
  options: { readonly inFlight: number; readonly messages: number; readonly mark: (phase: string) => void },
): Promise<LifeResult> {
  const store = await open(folder);
  for (const _ of await store.recover()) throw new Error("A new store has messages.");
  const numbers = (count: number) =>
    Array.from({ length: count }, (_, number) => messageOf(number, MESSAGE_BYTES));
  // The code is warm, and the first files are made.
  const warm = numbers(Math.ceil(options.messages / 4));
  for (const phase of phases) await each(warm, 20, (message) => steps[phase](store, message));
  const messages = numbers(options.messages);
  const results: Partial<Record<Phase, PhaseResult>> = {};
  const firstBytes = writtenBytes(process.pid);
  for (const phase of phases) {
    options.mark(phase);
    const bytes = writtenBytes(process.pid);
    const [main, all] = [process.threadCpuUsage(), process.cpuUsage()];
    const started = performance.now();
    await each(messages, options.inFlight, (message) => steps[phase](store, message));
    const seconds = (performance.now() - started) / 1000;
    const [mainUsed, allUsed] = [process.threadCpuUsage(main), process.cpuUsage(all)];
    const ms = (used: { readonly user: number; readonly system: number }) =>
      (used.user + used.system) / 1000 / messages.length;
    results[phase] = {
      perSecond: messages.length / seconds,
      mainCpuMs: ms(mainUsed),
      cpuMs: ms(allUsed),
      bytesWritten: (writtenBytes(process.pid) - bytes) / messages.length,
    };
  }
  options.mark("close");
  await store.close();
  options.mark("end");
  const bytesWritten = (writtenBytes(process.pid) - firstBytes) / messages.length;
  return { phases: results as Record<Phase, PhaseResult>, bytesWritten };
}

/** Fills a store and is killed: what the next process finds. Never returns. */
export async function fillAndDie(open: Open, folder: string, count: number): Promise<void> {
  const store = await open(folder);
  for (const _ of await store.recover()) throw new Error("A new store has messages.");
  const numbers = Array.from({ length: count }, (_, number) => number);
  await each(numbers, 500, async (number) => {
    const message = messageOf(number, MESSAGE_BYTES);
    await steps.put(store, message);
    await steps.record(store, message);
  });
  process.kill(process.pid, "SIGKILL");
  await new Promise(() => {});
}

export async function recover(open: Open, folder: string): Promise<RecoverResult> {
  const fullMib = storedBytes(folder) / MIB;
  const started = performance.now();
  const cpu = process.cpuUsage();
  const store = await open(folder);
  let count = 0;
  for (const { dueAt, domain } of await store.recover()) {
    if (dueAt <= 0 || domain === "") throw new Error("A message was told without its due time or domain.");
    count++;
  }
  const toldSeconds = (performance.now() - started) / 1000;
  const used = process.cpuUsage(cpu);
  const taking = performance.now();
  const one = messageOf(count, MESSAGE_BYTES);
  await steps.put(store, one);
  const takesSeconds = toldSeconds + (performance.now() - taking) / 1000;
  collectGarbage();
  const mib = memoryMib(process.pid);
  const { anonymousMib } = processMemory();

  // A second walk for the ids, which the first did not keep: nobody's memory but the bench's.
  await store.close();
  const again = await open(folder);
  const ids = Array.from(await again.recover(), ({ id }) => id);
  await each(ids, 100, (id) => again.remove(id));
  const removedMib = storedBytes(folder) / MIB;
  await again.close();
  return {
    ...{ messages: count, toldSeconds, takesSeconds, mib, anonymousMib, fullMib, removedMib },
    cpuSeconds: (used.user + used.system) / 1e6,
    closedMib: storedBytes(folder) / MIB,
    contentMib: (count * MESSAGE_BYTES) / MIB,
  };
}

/** One large message: does it pass, or sit in memory? */
export async function large(open: Open, folder: string, bytes: number): Promise<LargeResult> {
  const store = await open(folder);
  for (const _ of await store.recover()) throw new Error("A new store has messages.");
  const small = messageOf(0, MESSAGE_BYTES);
  for (const phase of phases) await steps[phase](store, small);
  const message = messageOf(1, bytes);
  const mib = processMemory().residentMib;
  const watch = watchMemory();
  const started = performance.now();
  // One buffer for all, as a socket's: whoever keeps a piece copies it or pays with a wrong byte.
  await store.put(message, pieces(bytes, watch.look));
  const putSeconds = (performance.now() - started) / 1000;
  const put = watch.end();
  await steps.record(store, message);
  const reading = watchMemory();
  const readStarted = performance.now();
  let read = 0;
  await store.read(message.id, (piece) => {
    reading.look();
    read += piece.length;
  });
  const readSeconds = (performance.now() - readStarted) / 1000;
  if (read !== bytes) throw new Error(`${read} of ${bytes} bytes were read.`);
  const back = reading.end();
  await store.close();
  return {
    ...{ mib, putSeconds, readSeconds },
    ...{ putMib: put.residentMib, putAnonymousMib: put.anonymousMib },
    ...{ readMib: back.residentMib, readAnonymousMib: back.anonymousMib },
  };
}

function* pieces(bytes: number, look: () => void): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= PIECE) {
    look();
    yield Buffer.alloc(Math.min(PIECE, left), "A line of a large message, which says little.\r\n");
  }
}

/** The largest memory seen at every piece, and by the kernel in between, above what it was. */
function watchMemory() {
  collectGarbage();
  writeFileSync("/proc/self/clear_refs", "5");
  const before = processMemory();
  let anonymousMib = before.anonymousMib;
  const look = () => void (anonymousMib = Math.max(anonymousMib, processMemory().anonymousMib));
  return {
    look,
    end() {
      look();
      return {
        residentMib: processMemory().peakMib - before.residentMib,
        anonymousMib: anonymousMib - before.anonymousMib,
      };
    },
  };
}

function collectGarbage(): void {
  const { gc } = globalThis as { gc?: () => void };
  if (gc === undefined) throw new Error("Memory cannot be measured without --expose-gc.");
  gc();
  gc();
}
