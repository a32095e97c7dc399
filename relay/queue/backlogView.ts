/**
 * What whoever asks sees of the backlog: a message, the lanes, and of each lane the messages that stand for the rest.
 * Each question walks all rows, and changes nothing.
 */
import type { Instant, MessageId } from "../message.ts";
import { type BacklogColumns, NO_ROW, rowStates } from "./backlogColumns.ts";
import type { Lane, Lanes } from "./lanes.ts";
import type { WaitingMessage } from "./spool.ts";

/** One message as a view sees it. */
export interface BacklogRow extends WaitingMessage {
  readonly lane: Lane;
  readonly receivedAt: Instant;
  readonly note: string | null;
  /** Its time has come, and it waits for its turn. */
  readonly inLane: boolean;
}

export class BacklogView {
  readonly #columns: BacklogColumns;
  readonly #lanes: Lanes;

  constructor(columns: BacklogColumns, lanes: Lanes) {
    this.#columns = columns;
    this.#lanes = lanes;
  }

  row(id: MessageId): BacklogRow | null {
    const row = this.#columns.find(id);
    return row === NO_ROW ? null : this.#view(row);
  }

  /** Ids that begin with `prefix`, oldest first, at most `most`. */
  find(prefix: string, most: number): MessageId[] {
    const { ids } = this.#columns;
    const rows: number[] = [];
    for (const row of this.#columns.all()) if (ids.idOf(row).startsWith(prefix)) rows.push(row);
    rows.sort((a, b) => (ids.isBefore(a, b) ? -1 : 1));
    return rows.slice(0, most).map((row) => ids.idOf(row));
  }

  /** Every lane with a message, and when the oldest of these was accepted. */
  lanes(): { readonly lane: Lane; readonly oldest: Instant }[] {
    const lanes = this.#lanes.all;
    const oldest = new Float64Array(lanes.length).fill(Number.POSITIVE_INFINITY);
    for (const row of this.#columns.all()) {
      const number = this.#columns.lane[row] ?? 0;
      const at = this.#columns.ids.timeOf(row);
      if (at < (oldest[number] ?? 0)) oldest[number] = at;
    }
    return lanes.flatMap((lane, number) =>
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
    for (const row of this.#columns.all()) {
      const lane = this.#laneAt(row);
      let found = best.get(lane);
      if (found === undefined) best.set(lane, (found = { next: [], oldest: [] }));
      keep(found.next, row, (at) => this.#columns.dueAt[at] ?? 0);
      keep(found.oldest, row, (at) => this.#columns.ids.timeOf(at));
    }
    const view = (rows: number[]) => rows.map((row) => this.#view(row));
    return new Map(
      Array.from(best, ([lane, { next, oldest }]) => [lane, { next: view(next), oldest: view(oldest) }]),
    );
  }

  #laneAt(row: number): Lane {
    return this.#lanes.at(this.#columns.lane[row] ?? 0);
  }

  #view(row: number): BacklogRow {
    const { ids, dueAt, expiresAt, recipients, state } = this.#columns;
    const lane = this.#laneAt(row);
    return {
      id: ids.idOf(row),
      receivedAt: ids.timeOf(row),
      dueAt: dueAt[row] ?? 0,
      expiresAt: expiresAt[row] ?? 0,
      recipients: recipients[row] ?? 0,
      ...{
        sendingDomain: lane.sendingDomain,
        credential: lane.credential,
        domain: lane.domain,
        several: lane.several,
      },
      ...(lane.queueClass === undefined ? {} : { queueClass: lane.queueClass }),
      lane,
      note: this.#columns.noteOf(row),
      inLane: state[row] !== rowStates.scheduled,
    };
  }
}
