/**
 * The backlog: queued messages that are not in memory, because their time has not come or others are before
 * them. Of each it knows what decides its turn, in columns of typed arrays, some 60 bytes a message; the rest
 * is read from the spool when it is picked (window.ts).
 *
 * A message waits in the schedule until it is due, then in the lane of its (credential, class, sending domain, recipient domain).
 * Lanes take turns as sites do: by priority, then credentials, then the lanes of each. A lane is passed over while it
 * is asleep (its site pushed back), parked (its domain is held, or no route takes it) or has its share of the
 * window; so neither a dead nor a huge destination keeps others out of memory, however much waits for it.
 */
import type { Instant, MessageId } from "../message.ts";
import { DueHeap, type HeapNode } from "./dueHeap.ts";
import { grown, IdTable } from "./idTable.ts";
import type { WaitingMessage } from "./spool.ts";
import type { Rank } from "./shares.ts";
import { PriorityTurns, type Standing } from "./turns.ts";

const NONE = -1;
/** Taken from a lane at a time: their envelopes lie side by side. */
const QUANTUM = 8;
/** Different notes that are remembered; they come from our own faults, of which there are few kinds. */
const MOST_NOTES = 200;

const states = { scheduled: 1, inLane: 2, picked: 3, overdue: 4 } as const;

export interface Lane {
  readonly credential: string | null;
  readonly sendingDomain: string | null;
  readonly queueClass: string | undefined;
  readonly domain: string;
  /** Its messages have recipients of other domains, too: those may go where this one cannot. */
  readonly several: boolean;
  /** Its key among lanes. */
  readonly name: string;
  /** As its class has it under the configuration in force. */
  rank: Rank;
  /** Messages that wait in it: first and last row, and how many. */
  first: number;
  last: number;
  length: number;
  /** All that are known of it: scheduled, in the lane, or picked. */
  messages: number;
  recipients: number;
  /** Messages of it in memory. */
  inMemory: number;
  parked: boolean;
  sleeper: HeapNode<Lane> | null;
  /** Passed over until one of those in memory has left. */
  full: boolean;
}

/** One message as a view sees it. */
export interface BacklogRow extends WaitingMessage {
  readonly lane: Lane;
  readonly receivedAt: Instant;
  readonly note: string | null;
  /** Its time has come, and it waits for its turn. */
  readonly inLane: boolean;
}

/** What a message waits in. */
export type LaneKey = Pick<
  WaitingMessage,
  "credential" | "sendingDomain" | "queueClass" | "domain" | "several"
>;

function standingOf({ rank, credential, name, domain }: Lane): Standing {
  return { rank, tenant: credential ?? "", lane: `${name} ${domain}` };
}

/** Messages to be loaded, and their recipients in all. */
export interface Picked {
  readonly ids: readonly MessageId[];
  readonly recipients: number;
}

/** May a lane go on, or is it to be parked until the configuration changes? */
export type LaneGate = (lane: Lane) => boolean;

export class Backlog {
  readonly #ids: IdTable;
  #state = new Uint8Array(0);
  #dueAt = new Float64Array(0);
  #expiresAt = new Float64Array(0);
  #lane = new Uint32Array(0);
  #recipients = new Uint16Array(0);
  #note = new Uint8Array(0);
  /** Neighbours in a lane, or NONE. */
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  /** The schedule: rows by the instant they matter at, and where each stands in it, or NONE. */
  #heap = new Int32Array(0);
  #heapIndex = new Int32Array(0);
  #heapSize = 0;
  readonly #lanes: (Lane | undefined)[] = [];
  readonly #freeLanes: number[] = [];
  /** By who sends, then recipient domain. */
  readonly #laneNumbers = new Map<string, Map<string, number>>();
  #turns = new PriorityTurns<Lane>();
  #rankOf: (queueClass: string | undefined) => Rank = () => 0;
  readonly #sleeping = new DueHeap<Lane>();
  readonly #parked = new Set<Lane>();
  /** Rows whose expiry has come: they go before all others. */
  #overdue: number[] = [];
  readonly #notes: string[] = [""];

  constructor() {
    this.#ids = new IdTable((capacity) => {
      this.#state = grown(this.#state, capacity);
      this.#dueAt = grown(this.#dueAt, capacity);
      this.#expiresAt = grown(this.#expiresAt, capacity);
      this.#lane = grown(this.#lane, capacity);
      this.#recipients = grown(this.#recipients, capacity);
      this.#note = grown(this.#note, capacity);
      this.#next = grown(this.#next, capacity);
      this.#previous = grown(this.#previous, capacity);
      this.#heap = grown(this.#heap, capacity);
      this.#heapIndex = grown(this.#heapIndex, capacity);
    });
  }

  /** Messages, those that are being loaded included. */
  get size(): number {
    return this.#ids.size;
  }

  /** Makes room for so many at once. */
  reserve(count: number): void {
    this.#ids.reserve(count);
  }

  has(id: MessageId): boolean {
    return this.#ids.find(id) !== NONE;
  }

  /** The next instant at which something becomes due, expires or wakes; null when nothing waits for one. */
  get nextAt(): Instant | null {
    const first = this.#heapSize > 0 ? this.#key(this.#heap[0] ?? NONE) : Number.POSITIVE_INFINITY;
    const next = Math.min(first, this.#sleeping.nextAt ?? Number.POSITIVE_INFINITY);
    return next === Number.POSITIVE_INFINITY ? null : next;
  }

  laneOf(message: LaneKey): Lane {
    return this.#lanes[this.#laneNumber(message)] as Lane;
  }

  /** Whether nobody of a lane is before a message that is due now. */
  isClear(lane: Lane): boolean {
    return lane.length === 0 && !lane.parked && lane.sleeper === null && !lane.full;
  }

  /** Takes a message in. `front`: it was before those that wait in its lane. */
  add(message: WaitingMessage, now: Instant, { front = false, note = null as string | null } = {}): void {
    if (this.has(message.id)) throw new Error(`Cannot queue message ${message.id}: it is queued already.`);
    const number = this.#laneNumber(message);
    const lane = this.#lanes[number] as Lane;
    const row = this.#ids.add(message.id);
    this.#dueAt[row] = message.dueAt;
    this.#expiresAt[row] = message.expiresAt;
    this.#lane[row] = number;
    this.#recipients[row] = message.recipients;
    this.#note[row] = this.#noteNumber(note);
    lane.messages++;
    lane.recipients += message.recipients;
    if (message.dueAt <= now) this.#enter(row, lane, front);
    else this.#schedule(row, states.scheduled);
  }

  /** Moves what became due into its lane, and what expired out of it; wakes lanes whose sleep is over. */
  wakeDue(now: Instant): void {
    while (this.#heapSize > 0) {
      const row = this.#heap[0] ?? NONE;
      if (this.#key(row) > now) break;
      const lane = this.#laneAt(row);
      this.#unschedule(row);
      if ((this.#expiresAt[row] ?? 0) <= now) {
        if (this.#state[row] === states.inLane) this.#leave(row, lane);
        this.#state[row] = states.overdue;
        this.#overdue.push(row);
      } else this.#enter(row, lane, false);
    }
    for (let lane = this.#sleeping.popDue(now); lane !== undefined; lane = this.#sleeping.popDue(now)) {
      lane.sleeper = null;
      this.#offer(lane);
    }
  }

  /** Picks expired messages; `pick` of the others may wait, this must not. */
  pickOverdue(most: number): Picked {
    const picked = { ids: [], recipients: 0 };
    while (picked.recipients < most) {
      const row = this.#overdue.shift();
      if (row === undefined) break;
      this.#picked(row, picked);
    }
    return picked;
  }

  /**
   * Picks messages in turn, with some `most` recipients in all, to be loaded. `share` is how many of one lane may be in memory;
   * lanes the gate does not let go on are parked.
   */
  pick(most: number, share: number, gate: LaneGate): Picked {
    const picked = { ids: [], recipients: 0 };
    while (picked.recipients < most) {
      const { turn } = this.#turns;
      if (turn === undefined) break;
      const lane = turn.item;
      this.#turns.took(turn);
      if (!gate(lane)) {
        this.#park(lane);
        continue;
      }
      const room = Math.min(QUANTUM, share - lane.inMemory);
      if (room <= 0) {
        lane.full = true;
        this.#offer(lane);
        continue;
      }
      for (let taken = 0; taken < room && lane.first !== NONE && picked.recipients < most; taken++) {
        const row = lane.first;
        this.#leave(row, lane);
        this.#picked(row, picked);
      }
      this.#offer(lane);
    }
    return picked;
  }

  /** A picked message is in memory now, and no longer here; its lane gets it back with `left`. */
  entered(id: MessageId): Lane | null {
    const row = this.#ids.find(id);
    if (row === NONE) return null;
    const lane = this.#laneAt(row);
    this.#drop(row);
    return lane;
  }

  /** A picked message is gone. */
  forget(id: MessageId): void {
    const lane = this.entered(id);
    if (lane !== null) this.left(lane);
  }

  /** A picked message could not be loaded: it waits until `at`. */
  putBack(id: MessageId, at: Instant, note: string): void {
    const row = this.#ids.find(id);
    if (row === NONE) return;
    const lane = this.#laneAt(row);
    this.#dueAt[row] = at;
    // An expired one would be overdue again at once.
    this.#expiresAt[row] = Math.max(this.#expiresAt[row] ?? 0, at);
    this.#note[row] = this.#noteNumber(note);
    this.#schedule(row, states.scheduled);
    this.left(lane);
  }

  /** A message went into memory without having been here. */
  joined(lane: Lane): void {
    lane.inMemory++;
  }

  /** A message of a lane has left the memory. */
  left(lane: Lane): void {
    lane.inMemory--;
    if (lane.full) {
      lane.full = false;
      this.#offer(lane);
    }
    this.#forgetLane(lane);
  }

  /** Nothing of a lane is picked before `until`. */
  sleep(lane: Lane, until: Instant): void {
    if (lane.sleeper !== null) {
      if (lane.sleeper.at >= until) return;
      this.#sleeping.remove(lane.sleeper);
    }
    lane.sleeper = this.#sleeping.add(until, lane);
    this.#offer(lane);
  }

  park(lane: Lane): void {
    this.#park(lane);
  }

  /** The configuration changed: classes may have other ranks, and what slept or was parked is tried again. */
  wakeAll(rankOf: (queueClass: string | undefined) => Rank): void {
    this.#rankOf = rankOf;
    this.#turns = new PriorityTurns();
    for (const lane of this.#lanes) {
      if (lane === undefined) continue;
      lane.rank = rankOf(lane.queueClass);
      this.#offer(lane);
    }
    for (const lane of this.#parked) {
      lane.parked = false;
      this.#offer(lane);
    }
    this.#parked.clear();
    for (const lane of this.#lanes) {
      if (lane?.sleeper == null) continue;
      this.#sleeping.remove(lane.sleeper);
      lane.sleeper = null;
      this.#offer(lane);
    }
  }

  row(id: MessageId): BacklogRow | null {
    const row = this.#ids.find(id);
    return row === NONE ? null : this.#view(row);
  }

  /** Ids that begin with `prefix`, oldest first, at most `most`. */
  find(prefix: string, most: number): MessageId[] {
    const rows: number[] = [];
    for (const row of this.#rows()) if (this.#ids.idOf(row).startsWith(prefix)) rows.push(row);
    rows.sort((a, b) => (this.#ids.isBefore(a, b) ? -1 : 1));
    return rows.slice(0, most).map((row) => this.#ids.idOf(row));
  }

  /** Every lane with a message, and when the oldest of these was accepted. */
  lanes(): { readonly lane: Lane; readonly oldest: Instant }[] {
    const oldest = new Float64Array(this.#lanes.length).fill(Number.POSITIVE_INFINITY);
    for (const row of this.#rows()) {
      const number = this.#lane[row] ?? 0;
      const at = this.#ids.timeOf(row);
      if (at < (oldest[number] ?? 0)) oldest[number] = at;
    }
    return this.#lanes.flatMap((lane, number) =>
      lane === undefined || lane.messages === 0 ? [] : [{ lane, oldest: oldest[number] ?? 0 }],
    );
  }

  /** Of each lane, up to `most` messages whose turn comes first and as many of the oldest. */
  samples(most: number): Map<Lane, { readonly next: BacklogRow[]; readonly oldest: BacklogRow[] }> {
    const best = new Map<Lane, { next: number[]; oldest: number[] }>();
    const keep = (rows: number[], row: number, value: (row: number) => number) => {
      if (rows.length === most && value(rows[most - 1] ?? 0) <= value(row)) return;
      rows.push(row);
      rows.sort((a, b) => value(a) - value(b));
      if (rows.length > most) rows.pop();
    };
    for (const row of this.#rows()) {
      const lane = this.#laneAt(row);
      let found = best.get(lane);
      if (found === undefined) best.set(lane, (found = { next: [], oldest: [] }));
      keep(found.next, row, (at) => this.#dueAt[at] ?? 0);
      keep(found.oldest, row, (at) => this.#ids.timeOf(at));
    }
    const view = (rows: number[]) => rows.map((row) => this.#view(row));
    return new Map(
      Array.from(best, ([lane, { next, oldest }]) => [lane, { next: view(next), oldest: view(oldest) }]),
    );
  }

  *#rows(): Generator<number> {
    for (let row = 0; row < this.#ids.end; row++) if (this.#ids.isUsed(row)) yield row;
  }

  #view(row: number): BacklogRow {
    const lane = this.#laneAt(row);
    return {
      id: this.#ids.idOf(row),
      receivedAt: this.#ids.timeOf(row),
      dueAt: this.#dueAt[row] ?? 0,
      expiresAt: this.#expiresAt[row] ?? 0,
      recipients: this.#recipients[row] ?? 0,
      ...{
        sendingDomain: lane.sendingDomain,
        credential: lane.credential,
        domain: lane.domain,
        several: lane.several,
      },
      ...(lane.queueClass === undefined ? {} : { queueClass: lane.queueClass }),
      lane,
      note: this.#notes[this.#note[row] ?? 0] || null,
      inLane: this.#state[row] !== states.scheduled,
    };
  }

  #picked(row: number, picked: { ids: MessageId[]; recipients: number }): void {
    this.#unschedule(row);
    this.#state[row] = states.picked;
    this.#laneAt(row).inMemory++;
    picked.ids.push(this.#ids.idOf(row));
    picked.recipients += this.#recipients[row] ?? 0;
  }

  #drop(row: number): void {
    const lane = this.#laneAt(row);
    lane.messages--;
    lane.recipients -= this.#recipients[row] ?? 0;
    this.#state[row] = 0;
    this.#ids.remove(row);
  }

  // Lanes.

  #enter(row: number, lane: Lane, front: boolean): void {
    const [before, after] = front ? [NONE, lane.first] : [lane.last, NONE];
    this.#previous[row] = before;
    this.#next[row] = after;
    if (before === NONE) lane.first = row;
    else this.#next[before] = row;
    if (after === NONE) lane.last = row;
    else this.#previous[after] = row;
    lane.length++;
    this.#schedule(row, states.inLane);
    if (lane.length === 1) this.#offer(lane);
  }

  #leave(row: number, lane: Lane): void {
    const before = this.#previous[row] ?? NONE;
    const after = this.#next[row] ?? NONE;
    if (before === NONE) lane.first = after;
    else this.#next[before] = after;
    if (after === NONE) lane.last = before;
    else this.#previous[after] = before;
    lane.length--;
    if (lane.length === 0) this.#offer(lane);
  }

  /** In the round or out of it, as its state says. */
  #offer(lane: Lane): void {
    if (lane.length > 0 && !lane.parked && !lane.full && lane.sleeper === null) {
      this.#turns.add(standingOf(lane), lane);
    } else this.#turns.delete(standingOf(lane), lane);
  }

  #park(lane: Lane): void {
    lane.parked = true;
    this.#parked.add(lane);
    this.#offer(lane);
  }

  #laneAt(row: number): Lane {
    return this.#lanes[this.#lane[row] ?? 0] as Lane;
  }

  #laneNumber({ credential, sendingDomain, queueClass, domain, several }: LaneKey): number {
    const sender = `${credential ?? ""}\n${queueClass ?? ""}\n${sendingDomain ?? ""}\n${credential === null}${sendingDomain === null}${several}`;
    let numbers = this.#laneNumbers.get(sender);
    if (numbers === undefined) this.#laneNumbers.set(sender, (numbers = new Map()));
    const known = numbers.get(domain);
    if (known !== undefined) return known;
    const number = this.#freeLanes.pop() ?? this.#lanes.length;
    numbers.set(domain, number);
    this.#lanes[number] = {
      ...{
        credential,
        sendingDomain,
        queueClass,
        domain,
        several,
        name: sender,
        rank: this.#rankOf(queueClass),
      },
      ...{ first: NONE, last: NONE, length: 0, messages: 0, recipients: 0, inMemory: 0 },
      ...{ parked: false, sleeper: null, full: false },
    };
    return number;
  }

  /** A lane that nobody waits in is forgotten, with the pause it had: what comes next finds out anew. */
  #forgetLane(lane: Lane): void {
    if (lane.messages > 0 || lane.inMemory > 0) return;
    const numbers = this.#laneNumbers.get(lane.name);
    const number = numbers?.get(lane.domain);
    if (numbers === undefined || number === undefined || this.#lanes[number] !== lane) return;
    if (lane.sleeper !== null) this.#sleeping.remove(lane.sleeper);
    this.#parked.delete(lane);
    numbers.delete(lane.domain);
    if (numbers.size === 0) this.#laneNumbers.delete(lane.name);
    this.#lanes[number] = undefined;
    this.#freeLanes.push(number);
  }

  #noteNumber(note: string | null): number {
    if (note === null) return 0;
    const known = this.#notes.indexOf(note);
    if (known !== -1) return known;
    if (this.#notes.length > MOST_NOTES)
      return this.#noteNumber("set back for a reason of ours, see the log");
    return this.#notes.push(note) - 1;
  }

  // The schedule: a binary heap of rows.

  /** When a row matters next: due or expired; in its lane it can only expire. */
  #key(row: number): number {
    const expiresAt = this.#expiresAt[row] ?? 0;
    return this.#state[row] === states.scheduled ? Math.min(this.#dueAt[row] ?? 0, expiresAt) : expiresAt;
  }

  #schedule(row: number, state: number): void {
    this.#state[row] = state;
    this.#heap[this.#heapSize] = row;
    this.#heapIndex[row] = this.#heapSize;
    this.#heapSize++;
    this.#up(this.#heapSize - 1);
  }

  #unschedule(row: number): void {
    const index = this.#heapIndex[row] ?? NONE;
    if (index >= this.#heapSize || this.#heap[index] !== row) return;
    this.#heapSize--;
    const last = this.#heap[this.#heapSize] ?? NONE;
    if (last === row) return;
    this.#put(last, index);
    this.#up(index);
    this.#down(this.#heapIndex[last] ?? index);
  }

  #isBefore(a: number, b: number): boolean {
    const [left, right] = [this.#key(a), this.#key(b)];
    return left === right ? this.#ids.isBefore(a, b) : left < right;
  }

  #up(start: number): void {
    let index = start;
    const row = this.#heap[index] ?? NONE;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = this.#heap[above] ?? NONE;
      if (!this.#isBefore(row, parent)) break;
      this.#put(parent, index);
      index = above;
    }
    this.#put(row, index);
  }

  #down(start: number): void {
    let index = start;
    const row = this.#heap[index] ?? NONE;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= this.#heapSize) break;
      let child = this.#heap[below] ?? NONE;
      const right = this.#heap[below + 1] ?? NONE;
      if (below + 1 < this.#heapSize && this.#isBefore(right, child)) {
        below++;
        child = right;
      }
      if (!this.#isBefore(child, row)) break;
      this.#put(child, index);
      index = below;
    }
    this.#put(row, index);
  }

  #put(row: number, index: number): void {
    this.#heap[index] = row;
    this.#heapIndex[row] = index;
  }
}
