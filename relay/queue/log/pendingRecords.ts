/**
 * What the metadata log has still to be told: records that are durable in the journals of segments
 * (segmentJournal.ts) and in no log yet. They wait here for the log's next write, and are read from here
 * meanwhile, by their number.
 */
import type { RawMetadata } from "./metadata.ts";

/** Records that may wait in memory: some 400 messages, whose journals a recovery has to find. */
const MOST_PENDING_BYTES = 256 * 1024;

export class PendingRecords {
  #records: RawMetadata[] = [];
  /** Number of the first of them. */
  #first = 0;
  #bytes = 0;
  #through = 0;
  /** The first segment whose journal has what is pending. */
  #since: number | null = null;

  get count(): number {
    return this.#records.length;
  }

  get first(): number {
    return this.#first;
  }

  /** Number of the last batch that was added. */
  get through(): number {
    return this.#through;
  }

  /** Whether so much is pending that it should be written. */
  get wantsFlush(): boolean {
    return this.#bytes >= MOST_PENDING_BYTES;
  }

  /** Whether the journal of this segment has something that is in no log. */
  needsJournalOf(segment: number): boolean {
    return this.#since !== null && segment >= this.#since;
  }

  /** By its number; undefined when it has been written. */
  get(number: number): RawMetadata | undefined {
    return this.#records[(number - this.#first) >>> 0];
  }

  /** The number the record behind `position` others will have when it is added; numbers are 32 bits and start over. */
  numberAt(position: number): number {
    return (this.#first + this.#records.length + position) >>> 0;
  }

  /** Takes up batch `number`, which the journal of `segment` has. */
  add(records: readonly RawMetadata[], segment: number, number: number): void {
    for (const record of records) {
      this.#records.push(record);
      this.#bytes += record.payload.length;
    }
    this.#through = number;
    this.#since ??= segment;
  }

  /** All that are pending now. */
  taken(): RawMetadata[] {
    return this.#records.slice();
  }

  /** The first `count` are in a log. */
  written(count: number): void {
    this.#records.splice(0, count);
    this.#first = (this.#first + count) >>> 0;
    this.#bytes = 0;
    this.#since = null;
  }
}
