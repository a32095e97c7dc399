/**
 * The backlog: queued messages that are not in memory, because their time has not come or others are before
 * them. Of each it knows what decides its turn (backlogColumns.ts), some 60 bytes a message; the rest is read from
 * the spool when it is picked (window.ts).
 *
 * A message waits in the schedule (backlogSchedule.ts) until it is due, then in its lane (lanes.ts). So neither a dead
 * nor a huge destination keeps others out of memory, however much waits for it. This file moves messages from
 * one to the next; what people see of it is in backlogView.ts.
 */
import type { Instant, MessageId } from "../message.ts";
import { BacklogColumns, NO_ROW, rowStates, type RowState } from "./backlogColumns.ts";
import { BacklogView } from "./backlogView.ts";
import { type Lane, type LaneKey, Lanes } from "./lanes.ts";
import { BacklogSchedule } from "./backlogSchedule.ts";
import type { Rank } from "./shares.ts";
import type { WaitingMessage } from "./spool.ts";

/** Taken from a lane at a time: their envelopes lie side by side. */
const QUANTUM = 8;

/** Messages to be loaded, and their recipients in all. */
export interface Picked {
  readonly ids: readonly MessageId[];
  readonly recipients: number;
}

/** May a lane go on, or is it to be parked until the configuration changes? */
export type LaneGate = (lane: Lane) => boolean;

export class Backlog {
  readonly #columns = new BacklogColumns();
  readonly #schedule = new BacklogSchedule(this.#columns);
  readonly #lanes = new Lanes(this.#columns);
  /** Rows whose expiry has come: they go before all others. */
  #overdue: number[] = [];
  readonly view = new BacklogView(this.#columns, this.#lanes);

  /** Messages, those that are being loaded included. */
  get size(): number {
    return this.#columns.ids.size;
  }

  /** Makes room for so many at once. */
  reserve(count: number): void {
    this.#columns.ids.reserve(count);
  }

  has(id: MessageId): boolean {
    return this.#columns.find(id) !== NO_ROW;
  }

  /** The next instant at which something becomes due, expires or wakes; null when nothing waits for one. */
  get nextAt(): Instant | null {
    const next = Math.min(this.#schedule.nextAt, this.#lanes.nextAt);
    return next === Number.POSITIVE_INFINITY ? null : next;
  }

  laneOf(message: LaneKey): Lane {
    return this.#lanes.at(this.#lanes.numberOf(message));
  }

  /** Whether nobody of a lane is before a message that is due now. */
  isClear(lane: Lane): boolean {
    return this.#lanes.isClear(lane);
  }

  /** Takes a message in. `front`: it was before those that wait in its lane. */
  add(message: WaitingMessage, now: Instant, how: { front?: boolean; note?: string | null } = {}): void {
    if (this.addNew(message, now, how)) return;
    throw new Error(`Cannot queue message ${message.id}: it is queued already.`);
  }

  /** The same; false, and nothing has changed, when it is queued already. */
  addNew(
    message: WaitingMessage,
    now: Instant,
    { front = false, note = null }: { front?: boolean; note?: string | null } = {},
  ): boolean {
    const row = this.#columns.add(message, note);
    if (row === NO_ROW) return false;
    const number = this.#lanes.numberOf(message);
    const lane = this.#lanes.at(number);
    this.#columns.lane[row] = number;
    lane.messages++;
    lane.recipients += message.recipients;
    if (message.dueAt <= now) this.#enter(row, lane, front);
    else this.#wait(row, rowStates.scheduled);
    return true;
  }

  /** Moves what became due into its lane, and what expired out of it; wakes lanes whose sleep is over. */
  wakeDue(now: Instant): void {
    while (this.#schedule.nextAt <= now) {
      const row = this.#schedule.first;
      const lane = this.#laneAt(row);
      this.#schedule.remove(row);
      if ((this.#columns.expiresAt[row] ?? 0) <= now) {
        if (this.#columns.state[row] === rowStates.inLane) this.#lanes.leave(row, lane);
        this.#columns.state[row] = rowStates.overdue;
        this.#overdue.push(row);
      } else this.#enter(row, lane, false);
    }
    this.#lanes.wakeDue(now);
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
      const lane = this.#lanes.takeTurn();
      if (lane === undefined) break;
      if (!gate(lane)) {
        this.#lanes.park(lane);
        continue;
      }
      const room = Math.min(QUANTUM, share - lane.inMemory);
      if (room <= 0) {
        this.#lanes.fill(lane);
        continue;
      }
      for (let taken = 0; taken < room && lane.first !== NO_ROW && picked.recipients < most; taken++) {
        const row = lane.first;
        this.#lanes.leave(row, lane);
        this.#picked(row, picked);
      }
      this.#lanes.offer(lane);
    }
    return picked;
  }

  /** A picked message is in memory now, and no longer here; its lane gets it back with `left`. */
  entered(id: MessageId): Lane | null {
    const row = this.#columns.find(id);
    if (row === NO_ROW) return null;
    const lane = this.#laneAt(row);
    lane.messages--;
    lane.recipients -= this.#columns.recipients[row] ?? 0;
    this.#columns.remove(row);
    return lane;
  }

  /** A picked message is gone. */
  forget(id: MessageId): void {
    const lane = this.entered(id);
    if (lane !== null) this.left(lane);
  }

  /** A picked message could not be loaded: it waits until `at`. */
  putBack(id: MessageId, at: Instant, note: string): void {
    const row = this.#columns.find(id);
    if (row === NO_ROW) return;
    const lane = this.#laneAt(row);
    this.#columns.dueAt[row] = at;
    // An expired one would be overdue again at once.
    this.#columns.expiresAt[row] = Math.max(this.#columns.expiresAt[row] ?? 0, at);
    this.#columns.setNote(row, note);
    this.#wait(row, rowStates.scheduled);
    this.left(lane);
  }

  /** A message went into memory without having been here. */
  joined(lane: Lane): void {
    lane.inMemory++;
  }

  /** A message of a lane has left the memory. */
  left(lane: Lane): void {
    this.#lanes.left(lane);
  }

  /** Nothing of a lane is picked before `until`. */
  sleep(lane: Lane, until: Instant): void {
    this.#lanes.sleep(lane, until);
  }

  /** The configuration changed: classes may have other ranks, and what slept or was parked is tried again. */
  wakeAll(rankOf: (queueClass: string | undefined) => Rank): void {
    this.#lanes.wakeAll(rankOf);
  }

  #enter(row: number, lane: Lane, front: boolean): void {
    this.#lanes.enter(row, lane, front);
    this.#wait(row, rowStates.inLane);
  }

  /** Until its time comes; in its lane that is its expiry. */
  #wait(row: number, state: RowState): void {
    this.#columns.state[row] = state;
    this.#schedule.add(row);
  }

  #picked(row: number, picked: { ids: MessageId[]; recipients: number }): void {
    this.#schedule.remove(row);
    this.#columns.state[row] = rowStates.picked;
    this.#laneAt(row).inMemory++;
    picked.ids.push(this.#columns.ids.idOf(row));
    picked.recipients += this.#columns.recipients[row] ?? 0;
  }

  #laneAt(row: number): Lane {
    return this.#lanes.at(this.#columns.lane[row] ?? 0);
  }
}
