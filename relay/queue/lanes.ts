/**
 * The lanes of the backlog: which there are, who waits in each in which order, and whose turn it is. A message waits
 * in the lane of its (credential, class, sending domain, recipient domain). Lanes take turns as sites do: by priority,
 * then credentials, then the lanes of each. A lane is passed over while it is asleep (its site pushed back), parked
 * (its domain is held, or no route takes it) or has its share of the window.
 */
import type { Instant } from "../message.ts";
import { type BacklogColumns, NO_ROW } from "./backlogColumns.ts";
import { DueHeap, type HeapNode } from "./dueHeap.ts";
import { grown } from "./idTable.ts";
import type { Rank } from "./shares.ts";
import type { WaitingMessage } from "./spool.ts";
import { PriorityTurns, type Standing } from "./turns.ts";

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

/** What a message waits in. */
export type LaneKey = Pick<
  WaitingMessage,
  "credential" | "sendingDomain" | "queueClass" | "domain" | "several"
>;

function senderName({ credential, queueClass, sendingDomain, several }: Omit<LaneKey, "domain">): string {
  return `${credential ?? ""}\n${queueClass ?? ""}\n${sendingDomain ?? ""}\n${credential === null}${sendingDomain === null}${several}`;
}

function isSameSender(a: Omit<LaneKey, "domain">, b: Omit<LaneKey, "domain">): boolean {
  return (
    a.credential === b.credential &&
    a.sendingDomain === b.sendingDomain &&
    a.queueClass === b.queueClass &&
    a.several === b.several
  );
}

function standingOf({ rank, credential, name, domain }: Lane): Standing {
  return { rank, tenant: credential ?? "", lane: `${name} ${domain}` };
}

export class Lanes {
  /** Neighbours of a row in its lane, or NO_ROW. */
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  readonly #lanes: (Lane | undefined)[] = [];
  readonly #free: number[] = [];
  /** By who sends, then recipient domain. */
  readonly #numbers = new Map<string, Map<string, number>>();
  /** Who was asked for last: of a million messages many come from one sender in a row, whose name is long to make. */
  #latest: { readonly sender: Omit<LaneKey, "domain">; readonly numbers: Map<string, number> } | null = null;
  #turns = new PriorityTurns<Lane>();
  #rankOf: (queueClass: string | undefined) => Rank = () => 0;
  readonly #sleeping = new DueHeap<Lane>();

  constructor(columns: BacklogColumns) {
    columns.follow((capacity) => {
      this.#next = grown(this.#next, capacity);
      this.#previous = grown(this.#previous, capacity);
    });
  }

  /** By number; undefined where there is none. */
  get all(): readonly (Lane | undefined)[] {
    return this.#lanes;
  }

  /** The lane that has this number. */
  at(number: number): Lane {
    return this.#lanes[number] as Lane;
  }

  /** The number of the lane of a message, which is made when there is none. */
  numberOf(key: LaneKey): number {
    const { domain } = key;
    if (this.#latest === null || !isSameSender(this.#latest.sender, key)) {
      const name = senderName(key);
      let numbers = this.#numbers.get(name);
      if (numbers === undefined) this.#numbers.set(name, (numbers = new Map()));
      this.#latest = { sender: key, numbers };
    }
    const { numbers } = this.#latest;
    const known = numbers.get(domain);
    if (known !== undefined) return known;
    const number = this.#free.pop() ?? this.#lanes.length;
    numbers.set(domain, number);
    const { credential, sendingDomain, queueClass, several } = key;
    this.#lanes[number] = {
      ...{ credential, sendingDomain, queueClass, domain, several },
      ...{ name: senderName(key), rank: this.#rankOf(queueClass) },
      ...{ first: NO_ROW, last: NO_ROW, length: 0, messages: 0, recipients: 0, inMemory: 0 },
      ...{ parked: false, sleeper: null, full: false },
    };
    return number;
  }

  /** Whether nobody of a lane is before a message that is due now. */
  isClear(lane: Lane): boolean {
    return lane.length === 0 && !lane.parked && lane.sleeper === null && !lane.full;
  }

  /** The lane in turn, which is counted as served; undefined when none may go on. */
  takeTurn(): Lane | undefined {
    const { turn } = this.#turns;
    if (turn === undefined) return undefined;
    this.#turns.took(turn);
    return turn.item;
  }

  /** A row waits in its lane: behind the others, or in front of them. */
  enter(row: number, lane: Lane, front: boolean): void {
    const [before, after] = front ? [NO_ROW, lane.first] : [lane.last, NO_ROW];
    this.#previous[row] = before;
    this.#next[row] = after;
    if (before === NO_ROW) lane.first = row;
    else this.#next[before] = row;
    if (after === NO_ROW) lane.last = row;
    else this.#previous[after] = row;
    lane.length++;
    if (lane.length === 1) this.offer(lane);
  }

  leave(row: number, lane: Lane): void {
    const before = this.#previous[row] ?? NO_ROW;
    const after = this.#next[row] ?? NO_ROW;
    if (before === NO_ROW) lane.first = after;
    else this.#next[before] = after;
    if (after === NO_ROW) lane.last = before;
    else this.#previous[after] = before;
    lane.length--;
    if (lane.length === 0) this.offer(lane);
  }

  /** Takes turns or does not, as its state says. To be called when that has changed. */
  offer(lane: Lane): void {
    if (lane.length > 0 && !lane.parked && !lane.full && lane.sleeper === null) {
      this.#turns.add(standingOf(lane), lane);
    } else this.#turns.delete(standingOf(lane), lane);
  }

  /** Passed over until one of its messages leaves the memory. */
  fill(lane: Lane): void {
    lane.full = true;
    this.offer(lane);
  }

  /** A message of a lane has left the memory. */
  left(lane: Lane): void {
    lane.inMemory--;
    if (lane.full) {
      lane.full = false;
      this.offer(lane);
    }
    this.#forget(lane);
  }

  /** Passed over until the configuration changes. */
  park(lane: Lane): void {
    lane.parked = true;
    this.offer(lane);
  }

  /** Passed over until `until`. */
  sleep(lane: Lane, until: Instant): void {
    if (lane.sleeper !== null) {
      if (lane.sleeper.at >= until) return;
      this.#sleeping.remove(lane.sleeper);
    }
    lane.sleeper = this.#sleeping.add(until, lane);
    this.offer(lane);
  }

  /** When the next wakes; infinite when none sleeps. */
  get nextAt(): number {
    return this.#sleeping.nextAt ?? Number.POSITIVE_INFINITY;
  }

  wakeDue(now: Instant): void {
    for (let lane = this.#sleeping.popDue(now); lane !== undefined; lane = this.#sleeping.popDue(now)) {
      lane.sleeper = null;
      this.offer(lane);
    }
  }

  /** The configuration changed: classes may have other ranks, and what slept or was parked is tried again. */
  wakeAll(rankOf: (queueClass: string | undefined) => Rank): void {
    this.#rankOf = rankOf;
    this.#turns = new PriorityTurns();
    for (const lane of this.#lanes) {
      if (lane === undefined) continue;
      lane.rank = rankOf(lane.queueClass);
      this.offer(lane);
    }
    // Those come behind the others, which have waited for their turn only.
    for (const lane of this.#lanes) {
      if (lane?.parked !== true) continue;
      lane.parked = false;
      this.offer(lane);
    }
    for (const lane of this.#lanes) {
      if (lane?.sleeper == null) continue;
      this.#sleeping.remove(lane.sleeper);
      lane.sleeper = null;
      this.offer(lane);
    }
  }

  /** A lane that nobody waits in is forgotten, with the pause it had: what comes next finds out anew. */
  #forget(lane: Lane): void {
    if (lane.messages > 0 || lane.inMemory > 0) return;
    const numbers = this.#numbers.get(lane.name);
    const number = numbers?.get(lane.domain);
    if (numbers === undefined || number === undefined || this.#lanes[number] !== lane) return;
    if (lane.sleeper !== null) this.#sleeping.remove(lane.sleeper);
    numbers.delete(lane.domain);
    if (numbers.size === 0) {
      this.#numbers.delete(lane.name);
      this.#latest = null;
    }
    this.#lanes[number] = undefined;
    this.#free.push(number);
  }
}
