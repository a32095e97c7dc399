/**
 * What a power loss leaves. Reads the journal that disk.c has written beside the real files, works out
 * which bytes and names were durable, and puts the folders back to a state the disk may honestly be in: all
 * that was durable, and of the rest nothing, everything, a torn beginning or any sectors, as chance has it.
 */
import { existsSync } from "node:fs";
import { chmod, link, open, readdir, readFile, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

import type { Random } from "../../../relay/kit/random.ts";
import type { DiskModel } from "./disk.ts";

export interface PowerLoss {
  /** All that was told to the journal: none means that the relay was on another disk. */
  readonly entries: number;
  /** Writes that were not durable, and names. */
  readonly volatileWrites: number;
  readonly volatileNames: number;
  /** Files whose content differs from what the relay had written, and names that are other ones now. */
  readonly changedFiles: number;
  readonly changedNames: number;
}

interface Entry {
  readonly op: string;
  /** Place in the journal: its order. */
  readonly at: number;
  readonly inode: bigint;
  readonly offset: number;
  readonly bytes: number;
  readonly before: number;
  readonly payload: Buffer;
}

const HEADER_BYTES = 40;

interface NameChange {
  readonly at: number;
  readonly path: string;
  readonly inode: bigint | null;
}

export async function losePower(options: {
  readonly journal: string;
  readonly grave: string;
  readonly model: DiskModel;
  readonly random: Random;
}): Promise<PowerLoss> {
  const { grave, model, random } = options;
  const entries = parse(await readFile(options.journal));
  const syncs = entries.filter(({ op }) => op === "S");
  const lastSync = Math.max(-1, ...syncs.map(({ offset }) => offset));

  const names = await loseNames({ entries, grave, model, random, lastSync });
  const files = await loseContent({ entries, grave, random });
  await loseModes({ entries, grave, model, random, lastSync });
  const loss = { entries: entries.length, ...files, ...names };
  for (const name of await readdir(grave)) await rm(join(grave, name));
  return loss;
}

function parse(journal: Buffer): Entry[] {
  const entries: Entry[] = [];
  for (let at = 0; at + HEADER_BYTES <= journal.length;) {
    const length = journal.readUInt32LE(at);
    // The relay was killed in the midst of telling: what it wanted to do was not done yet.
    if (length < HEADER_BYTES || at + length > journal.length) break;
    entries.push({
      op: String.fromCharCode(journal.readUInt32LE(at + 4)),
      at,
      inode: journal.readBigUInt64LE(at + 8),
      offset: Number(journal.readBigUInt64LE(at + 16)),
      bytes: Number(journal.readBigUInt64LE(at + 24)),
      before: Number(journal.readBigUInt64LE(at + 32)),
      payload: journal.subarray(at + HEADER_BYTES, at + length),
    });
    at += length;
  }
  return entries;
}

/** Changes of names in order. A removal was told before it was done: the last one may not have been. */
function changesOf(entries: readonly Entry[]): NameChange[] {
  return entries.flatMap(({ op, at, inode, payload }): NameChange[] => {
    const text = payload.toString();
    switch (op) {
      case "C":
        return [{ at, path: text, inode }];
      case "U":
        return [{ at, path: text, inode: null }];
      case "R": {
        const [from = "", to = ""] = text.split("\n");
        return [
          { at, path: from, inode: null },
          { at, path: to, inode },
        ];
      }
      default:
        return [];
    }
  });
}

async function loseNames(options: {
  readonly entries: readonly Entry[];
  readonly grave: string;
  readonly model: DiskModel;
  readonly random: Random;
  readonly lastSync: number;
}): Promise<Pick<PowerLoss, "volatileNames" | "changedNames">> {
  const { entries, grave, model, random, lastSync } = options;
  const folderSyncs = entries.filter(({ op }) => op === "D");
  const isDurable = (change: NameChange) =>
    (model === "journalled" && change.at < lastSync) ||
    folderSyncs.some(
      ({ offset, payload }) => change.at < offset && payload.toString() === dirname(change.path),
    );
  const changes = changesOf(entries);
  const volatileChanges = changes.filter((change) => !isDurable(change));
  const byPath = Map.groupBy(changes, ({ path }) => path);
  const before = beforeImages(entries);

  // What each path that is not settled shall name.
  const outcome = new Map<string, bigint | null>();
  const volatilePaths = new Set(volatileChanges.map(({ path }) => path));
  const cut = model === "journalled" ? cutOf(volatileChanges, random) : null;
  for (const path of volatilePaths) {
    const all = byPath.get(path) ?? [];
    const states = [before.get(path) ?? null, ...all.map(({ inode }) => inode)];
    const firstVolatile = all.findIndex((change) => !isDurable(change));
    const chosen =
      cut === null
        ? // Any of the states since the last durable one, each name by itself; half of the time the durable one.
          random.draw() < 0.5
          ? firstVolatile
          : firstVolatile + Math.floor(random.draw() * (states.length - firstVolatile))
        : all.filter((change) => isDurable(change) || change.at <= cut).length;
    outcome.set(path, states[chosen] ?? null);
  }

  // Every inode involved keeps a name until all are placed.
  for (const path of byPath.keys()) {
    const inode = await inodeOf(path);
    if (inode !== null && !existsSync(join(grave, String(inode))))
      await link(path, join(grave, String(inode)));
  }
  let changedNames = 0;
  for (const [path, inode] of outcome) {
    const now = await inodeOf(path);
    if (now === inode) continue;
    changedNames++;
    if (now !== null) await rm(path);
    if (inode !== null && existsSync(join(grave, String(inode))))
      await link(join(grave, String(inode)), path);
  }
  return { volatileNames: volatileChanges.length, changedNames };
}

/** Journalled: names are kept up to one instant. */
function cutOf(changes: readonly NameChange[], random: Random): number {
  const instants = [-1, ...new Set(changes.map(({ at }) => at))];
  const index = random.draw() < 0.5 ? 0 : Math.floor(random.draw() * instants.length);
  return instants[index] ?? -1;
}

/** What a path named before its first change. */
function beforeImages(entries: readonly Entry[]): Map<string, bigint> {
  const before = new Map<string, bigint>();
  const seen = new Set<string>();
  const first = (path: string, inode: bigint) => {
    if (seen.has(path)) return;
    seen.add(path);
    if (inode !== 0n) before.set(path, inode);
  };
  for (const { op, inode, before: replaced, payload } of entries) {
    const text = payload.toString();
    if (op === "C") first(text, 0n);
    else if (op === "U") first(text, inode);
    else if (op === "R") {
      const [from = "", to = ""] = text.split("\n");
      first(from, inode);
      first(to, BigInt(replaced));
    }
  }
  return before;
}

async function loseContent(options: {
  readonly entries: readonly Entry[];
  readonly grave: string;
  readonly random: Random;
}): Promise<Pick<PowerLoss, "volatileWrites" | "changedFiles">> {
  const { entries, grave, random } = options;
  const byInode = Map.groupBy(
    entries.filter(({ op }) => "WTSF".includes(op)),
    ({ inode }) => inode,
  );
  const places = await placesOf(entries, grave);
  let volatileWrites = 0;
  let changedFiles = 0;
  for (const [inode, all] of byInode) {
    const changes = all.filter(({ op }) => op === "W" || op === "T");
    const durable = durableOf(all);
    const lost = changes.filter((change) => !durable.has(change));
    const path = places.get(inode);
    if (lost.length === 0 || path === undefined) continue;
    volatileWrites += lost.length;
    const file = await open(path, "r+");
    try {
      const now = await file.readFile();
      const image = durableImage(now, changes, durable);
      const left = survivor(now, image, random);
      if (left.equals(now)) continue;
      changedFiles++;
      await file.truncate(left.length);
      await file.write(left, 0, left.length, 0);
    } finally {
      await file.close();
    }
  }
  return { volatileWrites, changedFiles };
}

/**
 * Changes that a later, successful sync covers. A failed sync marks what it should have kept as clean: no later
 * sync brings it back (Linux since always; "fsyncgate").
 */
function durableOf(all: readonly Entry[]): Set<Entry> {
  const durable = new Set<Entry>();
  let waiting: Entry[] = [];
  for (const entry of all) {
    if (entry.op === "W" || entry.op === "T") waiting.push(entry);
    else {
      const covered = waiting.filter(({ at }) => at < entry.offset);
      waiting = waiting.filter(({ at }) => at >= entry.offset);
      if (entry.op === "S") for (const change of covered) durable.add(change);
    }
  }
  return durable;
}

/** The file with the durable changes alone: all are undone, then those are done again. */
function durableImage(now: Buffer, changes: readonly Entry[], durable: ReadonlySet<Entry>): Buffer {
  let image = Buffer.from(now);
  /** What each write wrote: it stands there when all later ones are undone. */
  const written = new Map<Entry, Buffer>();
  for (const change of changes.toReversed()) {
    const { op, offset, bytes, before, payload } = change;
    if (op === "W") {
      written.set(change, Buffer.from(image.subarray(offset, offset + bytes)));
      if (offset < image.length) payload.copy(image, offset);
      image = image.subarray(0, before);
    } else {
      image = Buffer.concat([image.subarray(0, bytes), payload]).subarray(0, before);
    }
    if (image.length < before) image = Buffer.concat([image, Buffer.alloc(before - image.length)]);
  }
  for (const change of changes) {
    if (!durable.has(change)) continue;
    const { op, offset, bytes } = change;
    const size = op === "W" ? Math.max(image.length, offset + bytes) : bytes;
    const next = Buffer.alloc(size);
    image.copy(next);
    written.get(change)?.copy(next, offset);
    image = next;
  }
  return image;
}

/** Nothing of what was not durable, or a beginning cut at a sector, or any sectors, or all of it. */
function survivor(now: Buffer, durable: Buffer, random: Random): Buffer {
  const chance = random.draw();
  if (chance < 0.4) return durable;
  if (chance < 0.5) return now;
  const sector = random.draw() < 0.5 ? 512 : 4096;
  const longest = Math.max(now.length, durable.length);
  const shortest = Math.min(now.length, durable.length);
  const torn = shortest + Math.floor(random.draw() * (longest - shortest + 1));
  const isPrefix = chance < 0.75;
  const size = isPrefix ? torn : random.draw() < 0.5 ? now.length : torn;
  const left = Buffer.alloc(size);
  for (let start = 0; start < size; start += sector) {
    const source = isPrefix || random.draw() < 0.5 ? now : durable;
    if (start < source.length) source.copy(left, start, start, Math.min(start + sector, size));
  }
  // What was durable and is so still: bytes that no volatile change has touched are the same in both.
  return size < durable.length && now.length >= durable.length
    ? Buffer.concat([left, durable.subarray(size)])
    : left;
}

async function loseModes(options: {
  readonly entries: readonly Entry[];
  readonly grave: string;
  readonly model: DiskModel;
  readonly random: Random;
  readonly lastSync: number;
}): Promise<void> {
  const { entries, grave, model, random, lastSync } = options;
  const places = await placesOf(entries, grave);
  for (const { op, at, inode, offset } of entries.toReversed()) {
    if (op !== "M" || (model === "journalled" && at < lastSync)) continue;
    if (entries.some((other) => other.op === "S" && other.inode === inode && at < other.offset)) continue;
    const path = places.get(inode);
    if (path !== undefined && random.draw() < 0.5) await chmod(path, offset);
  }
}

/** Where each inode of the journal can be reached. */
async function placesOf(entries: readonly Entry[], grave: string): Promise<Map<bigint, string>> {
  const places = new Map<bigint, string>();
  for (const name of await readdir(grave)) places.set(BigInt(name), join(grave, name));
  const opened = entries.filter(({ op }) => op === "O").map(({ payload }) => payload.toString());
  for (const path of new Set([...opened, ...changesOf(entries).map((change) => change.path)])) {
    const inode = await inodeOf(path);
    if (inode !== null) places.set(inode, path);
  }
  return places;
}

async function inodeOf(path: string): Promise<bigint | null> {
  try {
    return (await stat(path, { bigint: true })).ino;
  } catch {
    return null;
  }
}
