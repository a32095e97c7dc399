/**
 * The window on the backlog: which messages are in memory. New mail enters at once while there is room and
 * nobody of its lane is before it; otherwise it joins the backlog like all that waits for a time. Messages
 * whose turn has come are loaded, many in one read; one that waits for its next try leaves the memory again.
 *
 * The bound is on recipients in memory, some two kilobytes each with all that hangs on them, and is far more
 * than can be in flight: so the disk is read while others are sent. A lane may hold half of what is free,
 * so that there is always room for one more lane; and when what is in memory cannot go on, it makes room.
 */
import type { Instant, MessageId, QueuedMessage } from "../message.ts";
import type { Picked } from "./backlog.ts";
import type { EnginePorts } from "./enginePorts.ts";
import type { Lane } from "./lanes.ts";
import { createEntry, type Entry, type Parcel } from "./parcel.ts";
import type { QueueState } from "./queueState.ts";
import type { Scheduler } from "./scheduler.ts";
import type { Block, SiteQueue } from "./siteQueue.ts";
import { SpoolError, type WaitingMessage, waitingOf } from "./spool.ts";

/** Messages loaded in one read, and reads at a time. */
const LOADED_AT_ONCE = 256;
const READS = 2;
/** A message to several domains of which none has a route is looked at again after this. */
const UNROUTED_MS = 60_000;
/** What is tried again sooner stays in memory. */
const SOON_MS = 1000;
/** A message or a spool that cannot be read is tried again after this. */
const UNREADABLE_MS = 5 * 60_000;
/** A lane that made room looks again after this, even if its block has no end or a later one. */
const LONGEST_SLEEP_MS = 5 * 60_000;
/** One that waits for a connection: jittered, so that all the others do not come back together. */
const BUSY_SLEEP_MS = 5000;
const LONG_BLOCK_MS = 30_000;

export class Window {
  readonly #ports: EnginePorts;
  readonly #state: QueueState;
  readonly #scheduler: Scheduler;
  readonly #limit: number;
  readonly #changed: () => void;
  /** Recipients in memory, and of messages that are being loaded. */
  #used = 0;
  #loading = 0;
  #reads = 0;
  #closed = false;

  constructor(
    ports: EnginePorts,
    state: QueueState,
    parts: { readonly scheduler: Scheduler; readonly limit: number; readonly changed: () => void },
  ) {
    this.#ports = ports;
    this.#state = state;
    this.#scheduler = parts.scheduler;
    this.#limit = parts.limit;
    this.#changed = parts.changed;
  }

  /** A new message: into memory if it may go on at once, else into the backlog. */
  enqueue(message: QueuedMessage, now: Instant): void {
    const waiting = waitingOf(message);
    if (waiting.recipients === 0) return;
    const { backlog } = this.#state;
    const lane = backlog.laneOf(waiting);
    const fits = this.#free >= message.recipients.length && lane.inMemory < this.#share;
    if (waiting.dueAt > now || !backlog.isClear(lane) || !fits) return backlog.add(waiting, now);
    backlog.joined(lane);
    this.#take(message, lane);
  }

  /** What a former life left. */
  recovered(message: WaitingMessage, now: Instant): void {
    // Accepted since: the recovery's walk has come upon a message of this life, in memory or in the backlog.
    if (!this.#state.entries.has(message.id)) this.#state.backlog.addNew(message, now);
  }

  /** Loads what has its turn, as far as there is room; of a relay that stands still only what expired. */
  refill(running: boolean): void {
    const { backlog, compiled } = this.#state;
    while (!this.#closed && this.#reads < READS) {
      let picked = backlog.pickOverdue(LOADED_AT_ONCE);
      if (picked.ids.length === 0 && running && compiled !== null && this.#free > 0) {
        const gate = (lane: Lane) =>
          !compiled.held.has(lane.sendingDomain ?? "") &&
          (lane.several || compiled.routeOf(lane.domain) !== null);
        picked = backlog.pick(Math.min(LOADED_AT_ONCE, this.#free), this.#share, gate);
      }
      if (picked.ids.length === 0) return;
      void this.#load(picked);
    }
  }

  /** Lets go of a message whose recipients all wait for a time, or for the configuration to change. */
  rest(entry: Entry): void {
    const now = this.#ports.clock.now();
    const first = firstOf(entry);
    if (first === null || (first.at !== null && first.at - now < SOON_MS)) return;
    const { parcel } = first;
    // Held, or without a route: its lane will be parked, and it is the first of it.
    const row = { ...this.#rowOf(entry, parcel), dueAt: first.at ?? parcel.dueAt };
    if (first.at === null && row.several && parcel.place.kind === "unrouted") {
      // No lane can be parked for it: others of the lane may have a recipient that can go.
      return void this.#release(
        entry,
        { ...row, dueAt: now + UNROUTED_MS },
        { front: false, note: parcel.note },
      );
    }
    this.#release(entry, row, { front: first.at === null, note: parcel.note });
  }

  /** A site cannot go on: when memory is short, its messages wait on the disk. */
  blocked(site: SiteQueue, block: Block): void {
    const now = this.#ports.clock.now();
    const isLong =
      block.kind !== "ConnectionLimit" && (block.until ?? Number.POSITIVE_INFINITY) - now > LONG_BLOCK_MS;
    // A connection soon comes free: then three quarters stay, of which somebody can always go.
    const [above, downTo] = isLong ? [this.#limit / 2, 0] : [0.9 * this.#limit, 0.75 * this.#limit];
    if (this.#used <= above) return;
    const until = isLong
      ? Math.min(block.until ?? Number.POSITIVE_INFINITY, now + LONGEST_SLEEP_MS)
      : now + Math.round(BUSY_SLEEP_MS * (1 + 2 * this.#ports.random.draw()));
    // From the end: each goes to the front of its lane.
    const parcels = [...site].toReversed();
    for (const parcel of parcels) {
      if (this.#used <= downTo) return;
      const { entry } = parcel;
      site.delete(parcel);
      this.#scheduler.schedule(parcel, until);
      if (firstOf(entry) === null) continue;
      const lane = this.#release(entry, this.#rowOf(entry, parcel), { front: true, note: parcel.note });
      this.#state.backlog.sleep(lane, until);
    }
  }

  /** All recipients of a message are final. */
  left(entry: Entry): void {
    this.#used -= entry.recipients.length;
    if (entry.lane !== null) this.#state.backlog.left(entry.lane);
    this.#changed();
  }

  close(): void {
    this.#closed = true;
  }

  get #free(): number {
    return this.#limit - this.#used - this.#loading;
  }

  /** Messages that a lane may have in memory. */
  get #share(): number {
    return Math.max(1, Math.floor(this.#free / 2));
  }

  #rowOf(entry: Entry, parcel: Parcel): WaitingMessage {
    const { message, waiting } = entry;
    const { id, expiresAt, sendingDomain, credential, queueClass } = message;
    return {
      ...{ id, expiresAt, sendingDomain, credential },
      ...(queueClass === undefined ? {} : { queueClass }),
      ...{ domain: parcel.domain, dueAt: parcel.dueAt, recipients: waiting },
      several: [...entry.parcels].some(({ domain }) => domain !== parcel.domain),
    };
  }

  #take(message: QueuedMessage, lane: Lane | null): void {
    const entry = createEntry(message, lane);
    this.#used += entry.recipients.length;
    this.#state.entries.set(message.id, entry);
    entry.expiry = this.#state.expiry.add(message.expiresAt, entry);
    this.#scheduler.admit(entry, [...entry.recipients.keys()]);
  }

  /** Out of memory, into the backlog. Gives the lane it waits in. */
  #release(entry: Entry, row: WaitingMessage, how: { front: boolean; note: string | null }): Lane {
    const { backlog, entries, expiry } = this.#state;
    for (const each of entry.parcels) this.#scheduler.takeOut(each);
    if (entry.expiry !== null) expiry.remove(entry.expiry);
    entry.expiry = null;
    entries.delete(entry.message.id);
    this.#used -= entry.recipients.length;
    backlog.add(row, this.#ports.clock.now(), how);
    if (entry.lane !== null) backlog.left(entry.lane);
    return backlog.laneOf(row);
  }

  async #load({ ids, recipients }: Picked): Promise<void> {
    this.#loading += recipients;
    this.#reads++;
    try {
      const messages = await this.#ports.spool.load(ids);
      if (this.#closed) return;
      for (const [index, id] of ids.entries()) this.#loaded(id, messages[index] ?? null);
    } catch (error) {
      if (this.#closed) return;
      this.#ports.log.error("envelopes cannot be read", { messages: ids.length, error });
      for (const id of ids) this.#putBack(id, error);
    } finally {
      this.#loading -= recipients;
      this.#reads--;
      if (!this.#closed) this.#changed();
    }
  }

  #loaded(id: MessageId, message: QueuedMessage | SpoolError | null): void {
    const { backlog } = this.#state;
    if (message instanceof SpoolError) {
      this.#ports.log.error("a queued message cannot be read", { id, error: message });
      return this.#putBack(id, message);
    }
    // Gone from the spool, or never to be sent again: nothing to wait for.
    if (message === null || waitingOf(message).recipients === 0) return backlog.forget(id);
    this.#take(message, backlog.entered(id));
  }

  #putBack(id: MessageId, error: unknown): void {
    const note = error instanceof Error ? error.message : String(error);
    // The text may name the message: one note would do for one message only.
    const kind = note.includes(id) ? "its envelope on the disk is damaged, see the log" : note;
    this.#state.backlog.putBack(id, this.#ports.clock.now() + UNREADABLE_MS, kind);
  }
}

/**
 * The parcel whose time comes first, when all parcels of an entry wait for one (`at`) or for the
 * configuration (null); null when any of them is on its way.
 */
function firstOf(entry: Entry): { readonly parcel: Parcel; readonly at: Instant | null } | null {
  let first: { parcel: Parcel; at: Instant | null } | null = null;
  for (const parcel of entry.parcels) {
    switch (parcel.place.kind) {
      case "scheduled": {
        const { at } = parcel.place.node;
        if (first === null || first.at === null || at < first.at) first = { parcel, at };
        break;
      }
      case "held":
      case "unrouted":
        first ??= { parcel, at: null };
        break;
      case "inLane":
      case "resolving":
      case "ready":
      case "inFlight":
      case "recording":
      case "gone":
        return null;
    }
  }
  return first;
}
