/**
 * After an attempt, an expiry or a failed resolution: make the verdicts durable, then go on.
 *
 * Order matters. What was delivered is recorded at once, because only that keeps it from being sent
 * again. What failed for good and owes the sender a notice is recorded after the notice is stored,
 * because only that keeps the failure from being lost. Until a recipient is recorded it stays put.
 */
import type { Instant, QueuedMessage } from "../message.ts";
import { settled, type Verdict } from "../policy/decide.ts";
import type { EnginePorts } from "./enginePorts.ts";
import { type Notice, noticeOf, readHeader, sendNotice } from "./notices.ts";
import type { Entry, Parcel } from "./parcel.ts";
import type { QueueState } from "./queueState.ts";

export interface Conclusion {
  readonly index: number;
  readonly verdict: Verdict;
}

export interface AftermathEvents {
  /** Recipients of an entry wait again, with the due time that was recorded. */
  waiting(entry: Entry, indices: readonly number[]): void;
  /** All its recipients are final: it is queued no more. */
  left(entry: Entry): void;
  /** A notice was stored and is to be queued. */
  queued(notice: QueuedMessage): void;
}

interface Group {
  readonly conclusions: readonly Conclusion[];
  readonly parcel: Parcel;
}

export class Aftermath {
  readonly #ports: EnginePorts;
  readonly #state: QueueState;
  readonly #events: AftermathEvents;
  readonly #stop = new AbortController();
  /** Notices under way, so that a stop can wait for them. */
  readonly #notices = new Set<Promise<unknown>>();

  constructor(ports: EnginePorts, state: QueueState, events: AftermathEvents) {
    this.#ports = ports;
    this.#state = state;
    this.#events = events;
  }

  /**
   * Takes over recipients of `entry` whose end, or next try, is known. Resolves when all of them are
   * recorded but those that wait for a notice, which go on by themselves. Never rejects.
   */
  async conclude(entry: Entry, conclusions: readonly Conclusion[], dsnTaken: boolean): Promise<void> {
    const now = this.#ports.clock.now();
    const direct: Conclusion[] = [];
    const owed: (Conclusion & { readonly notice: Notice })[] = [];
    const successes: Notice[] = [];
    for (const conclusion of conclusions) {
      const recipient = entry.recipients[conclusion.index];
      if (recipient === undefined) continue;
      const notice = noticeOf(entry.message, recipient, conclusion.verdict, dsnTaken, now);
      if (notice?.action === "failed") owed.push({ ...conclusion, notice });
      else direct.push(conclusion);
      if (notice?.action === "relayed") successes.push(notice);
    }
    const group = this.#hold(entry, direct, now);
    const failed = this.#hold(entry, owed, now);
    // Once all recipients are final the message is gone, and its header with it.
    const header = successes.length > 0 ? await this.#header(entry.message) : null;
    const recorded = await this.#record(entry, group, now);
    if (header !== null && recorded) this.#background(this.#notify(entry.message, header, successes));
    if (owed.length > 0) {
      this.#background(
        this.#fail(
          entry,
          failed,
          owed.map(({ notice }) => notice),
          now,
        ),
      );
    }
  }

  /** Waits for notices under way; those that wait for a spool that takes nothing are left to the next life. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#notices);
  }

  /** Recipients between their outcome and its record, shown as such. */
  #hold(entry: Entry, conclusions: readonly Conclusion[], now: Instant): Group {
    const first = entry.recipients[conclusions[0]?.index ?? -1];
    const parcel: Parcel = {
      entry,
      domain: first?.domain ?? "",
      indices: conclusions.map(({ index }) => index),
      dueAt: now,
      preferredSource: null,
      place: { kind: "recording", since: now },
      note: null,
    };
    if (conclusions.length > 0) entry.parcels.add(parcel);
    return { conclusions, parcel };
  }

  async #record(entry: Entry, { conclusions, parcel }: Group, now: Instant): Promise<boolean> {
    if (conclusions.length === 0) return true;
    const changes = conclusions.map(({ index, verdict }) => ({ index, recipient: settled(verdict, now) }));
    try {
      await this.#state.gate.write(() => this.#ports.spool.record([{ id: entry.message.id, changes }]));
    } catch (error) {
      const delivered = conclusions.filter(({ verdict }) => verdict.kind === "delivered").length;
      this.#ports.log.error("outcomes could not be recorded and come back after the restart", {
        id: entry.message.id,
        recipients: conclusions.length,
        delivered,
        error,
      });
      return false;
    }
    for (const { index, recipient } of changes) {
      const before = entry.recipients[index];
      if (before !== undefined) entry.recipients[index] = { ...before, ...recipient };
      if (recipient.state.kind !== "waiting") entry.waiting--;
    }
    entry.parcels.delete(parcel);
    parcel.place = { kind: "gone" };
    const again = changes.filter(({ recipient }) => recipient.state.kind === "waiting");
    if (again.length > 0)
      this.#events.waiting(
        entry,
        again.map(({ index }) => index),
      );
    if (entry.waiting === 0) this.#forget(entry);
    return true;
  }

  async #fail(entry: Entry, group: Group, notices: readonly Notice[], now: Instant): Promise<void> {
    group.parcel.note = "refused or expired; the notice to its sender is being stored";
    const header = (await this.#header(entry.message)) ?? Buffer.alloc(0);
    const outcome = await this.#notify(entry.message, header, notices);
    // Stopped: the recipients come back with the next life, which will bounce and notify them.
    if (outcome !== "stopped") await this.#record(entry, group, now);
  }

  async #notify(
    message: QueuedMessage,
    header: Buffer,
    notices: readonly Notice[],
  ): Promise<"queued" | "stopped" | "impossible"> {
    const { compiled } = this.#state;
    if (compiled === null) return "impossible";
    const { config } = compiled;
    const order = { message, header, notices, config, signal: this.#stop.signal };
    const notice = await sendNotice(this.#ports, order);
    if (typeof notice === "string") return notice;
    this.#events.queued(notice);
    return "queued";
  }

  async #header(message: QueuedMessage): Promise<Buffer | null> {
    try {
      return await readHeader(this.#ports, message);
    } catch (error) {
      this.#ports.log.warn("cannot read the header for a delivery status notification", {
        id: message.id,
        error,
      });
      return null;
    }
  }

  #background(work: Promise<unknown>): void {
    const tracked: Promise<unknown> = work
      .catch((error: unknown) => this.#ports.log.error("a delivery status notification failed", { error }))
      .finally(() => this.#notices.delete(tracked));
    this.#notices.add(tracked);
  }

  #forget(entry: Entry): void {
    if (entry.expiry !== null) this.#state.expiry.remove(entry.expiry);
    entry.expiry = null;
    this.#state.entries.delete(entry.message.id);
    this.#events.left(entry);
  }
}
