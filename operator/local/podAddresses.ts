/**
 * Where a pod listens. In a cluster each has an address of its own; on Linux so it has here, from
 * 127.0.100.1 on, since all of 127.0.0.0/8 is up. Where only 127.0.0.1 is (macOS), or where some program
 * holds our ports on every address, all ports of the pod are shifted instead.
 *
 * A pod keeps its place for as long as its ports are free there.
 */
import { createHash } from "node:crypto";

import type { Notes, PodPlace } from "./notes.ts";
import { allFree } from "./tcpPorts.ts";

const CANDIDATES = 250;
/** Two local modes of one machine look in different blocks, 127.0.BLOCK.x, and so seldom meet. */
const FIRST_BLOCK = 100;
const BLOCKS = 100;
/** Above what is in common use, a step wider than the listeners of a pod. */
const FIRST_SHIFT = 10_000;
const SHIFT_STEP = 20;

export class PodAddresses {
  readonly #notes: Notes;
  readonly #range: boolean;
  readonly #block: number;
  /** Loopback addresses that belong to pools: mail leaves from them. */
  readonly #reserved: () => ReadonlySet<string>;
  readonly #held = new Map<string, PodPlace>();
  /** One search at a time, so that two pods never find the same place. */
  #queue: Promise<unknown> = Promise.resolve();

  /** `owner`: whatever tells one local mode of this machine from the next. */
  constructor(options: { notes: Notes; range: boolean; owner: string; reserved: () => ReadonlySet<string> }) {
    this.#notes = options.notes;
    this.#range = options.range;
    this.#block =
      FIRST_BLOCK + (createHash("sha256").update(options.owner).digest().readUInt16BE(0) % BLOCKS);
    this.#reserved = options.reserved;
  }

  /** A place at which all `ports` (before the shift) are free now. Rejects when there is none. */
  assign(pod: string, ports: readonly number[]): Promise<PodPlace> {
    const found = this.#queue.then(() => this.#find(pod, ports));
    this.#queue = found.catch(() => {});
    return found;
  }

  /** The pod is gone; its place stays noted and is only given to another when nothing else is left. */
  release(pod: string): void {
    this.#held.delete(pod);
  }

  async #find(pod: string, ports: readonly number[]): Promise<PodPlace> {
    this.#held.delete(pod);
    for (const place of this.#candidates(pod)) {
      if (this.#isHeld(place)) continue;
      const shifted = ports.map((port) => port + place.portShift);
      if (!(await allFree(place.ip, shifted))) continue;
      this.#held.set(pod, place);
      this.#notes.notePod(pod, place);
      return place;
    }
    throw new Error(`no loopback address has the ports ${ports.join(", ")} free, nor a shift of them`);
  }

  *#candidates(pod: string): Iterable<PodPlace> {
    const noted = this.#notes.pods[pod];
    if (noted !== undefined && (this.#range || noted.ip === "127.0.0.1")) yield noted;
    const ofOthers = Object.entries(this.#notes.pods).flatMap(([other, place]) =>
      other === pod ? [] : [key(place)],
    );
    const all = [...this.#places()];
    yield* all.filter((place) => !ofOthers.includes(key(place)));
    yield* all;
  }

  *#places(): Iterable<PodPlace> {
    const reserved = this.#reserved();
    if (this.#range) {
      for (let last = 1; last <= CANDIDATES; last++) {
        const ip = `127.0.${this.#block}.${last}`;
        if (!reserved.has(ip)) yield { ip, portShift: 0 };
      }
    }
    for (let step = 0; step < CANDIDATES; step++) {
      yield { ip: "127.0.0.1", portShift: FIRST_SHIFT + step * SHIFT_STEP };
    }
    // Listeners may sit high themselves; below lies the rest of the room.
    for (let step = 1; step < CANDIDATES; step++) yield { ip: "127.0.0.1", portShift: -step * SHIFT_STEP };
  }

  #isHeld(place: PodPlace): boolean {
    return [...this.#held.values()].some((held) => key(held) === key(place));
  }
}

function key({ ip, portShift }: PodPlace): string {
  return `${ip} ${portShift}`;
}
