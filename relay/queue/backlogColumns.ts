/**
 * What the backlog knows of each message: what decides its turn, in columns of typed arrays. Others keep columns of
 * the same rows, which grow with these (`follow`).
 */
import type { MessageId } from "../message.ts";
import { grown, IdTable } from "./idTable.ts";
import type { WaitingMessage } from "./spool.ts";

/** No row. */
export const NO_ROW = -1;
/** What a row waits for: its time, its turn, to be loaded; `overdue` goes before all others. */
export const rowStates = { scheduled: 1, inLane: 2, picked: 3, overdue: 4 } as const;
export type RowState = (typeof rowStates)[keyof typeof rowStates];

/** Different notes that are remembered; they come from our own faults, of which there are few kinds. */
const MOST_NOTES = 200;

export class BacklogColumns {
  readonly ids: IdTable;
  state = new Uint8Array(0);
  dueAt = new Float64Array(0);
  expiresAt = new Float64Array(0);
  /** Number of the lane (lanes.ts). */
  lane = new Uint32Array(0);
  recipients = new Uint16Array(0);
  #note = new Uint8Array(0);
  readonly #notes: string[] = [""];
  readonly #followers: ((capacity: number) => void)[] = [];
  #capacity = 0;

  constructor() {
    this.ids = new IdTable((capacity) => {
      this.state = grown(this.state, capacity);
      this.dueAt = grown(this.dueAt, capacity);
      this.expiresAt = grown(this.expiresAt, capacity);
      this.lane = grown(this.lane, capacity);
      this.recipients = grown(this.recipients, capacity);
      this.#note = grown(this.#note, capacity);
      this.#capacity = capacity;
      for (const grow of this.#followers) grow(capacity);
    });
  }

  /** `grow` is called at once, and whenever there is to be room for more rows. */
  follow(grow: (capacity: number) => void): void {
    this.#followers.push(grow);
    grow(this.#capacity);
  }

  /** A row for a message, or NO_ROW when it has one. Its lane and what it waits for are to be set. */
  add(message: WaitingMessage, note: string | null): number {
    const row = this.ids.addNew(message.id);
    if (row === NO_ROW) return NO_ROW;
    this.dueAt[row] = message.dueAt;
    this.expiresAt[row] = message.expiresAt;
    this.recipients[row] = message.recipients;
    this.#note[row] = this.#noteNumber(note);
    return row;
  }

  remove(row: number): void {
    this.state[row] = 0;
    this.ids.remove(row);
  }

  /** The row of a message, or NO_ROW. */
  find(id: MessageId): number {
    return this.ids.find(id);
  }

  *all(): Generator<number> {
    for (let row = 0; row < this.ids.end; row++) if (this.ids.isUsed(row)) yield row;
  }

  noteOf(row: number): string | null {
    return this.#notes[this.#note[row] ?? 0] || null;
  }

  setNote(row: number, note: string): void {
    this.#note[row] = this.#noteNumber(note);
  }

  #noteNumber(note: string | null): number {
    if (note === null) return 0;
    const known = this.#notes.indexOf(note);
    if (known !== -1) return known;
    if (this.#notes.length > MOST_NOTES)
      return this.#noteNumber("set back for a reason of ours, see the log");
    return this.#notes.push(note) - 1;
  }
}
