/**
 * Transactions under way: from the start that the dispatcher admitted to verdicts that are recorded.
 * Holds the global bound on what can double after a crash, and breaks off what a stop cannot wait for.
 */
import type { EgressSource } from "../contract/config.ts";
import type { Instant, Outcome } from "../message.ts";
import { decide, findings, type Verdict } from "../policy/decide.ts";
import { otherProvider } from "../policy/providers.ts";
import { DEFAULT_CLASS } from "../policy/queueClass.ts";
import { tallyOf } from "../policy/reputation.ts";
import type { DeliveryResult } from "../smtp/delivery.ts";
import type { Aftermath, Conclusion } from "./aftermath.ts";
import { attempt } from "./attempt.ts";
import { queueClassOf } from "./compiledConfig.ts";
import type { Start } from "./dispatcher.ts";
import type { EnginePorts } from "./enginePorts.ts";
import type { Entry, Parcel } from "./parcel.ts";
import type { QueueState } from "./queueState.ts";
import type { SiteQueue } from "./siteQueue.ts";
import { within } from "./within.ts";

export interface FlightEvents {
  /** The connection is free, and so many units of the source's allowance that were not used. */
  ended(site: SiteQueue, source: EgressSource, unusedUnits: number): void;
  /** Its outcomes are recorded. */
  landed(): void;
  /** Nothing happened to these recipients; they are due again at `at`. */
  returned(parcel: Parcel, at: Instant): void;
}

/** After a failure of our own (no key, no password) the mail is looked at again after this. */
const LOCAL_RETRY_MS = 60_000;
/** A stop waits this long for transactions to end that it has broken off. */
const BREAK_OFF_MS = 5000;

export class Flights {
  readonly #ports: EnginePorts;
  readonly #state: QueueState;
  readonly #aftermath: Aftermath;
  readonly #events: FlightEvents;
  readonly #stop = new AbortController();
  readonly #flying = new Set<Promise<void>>();

  constructor(ports: EnginePorts, state: QueueState, aftermath: Aftermath, events: FlightEvents) {
    this.#ports = ports;
    this.#state = state;
    this.#aftermath = aftermath;
    this.#events = events;
  }

  get size(): number {
    return this.#flying.size;
  }

  launch(start: Start): void {
    const since = this.#ports.clock.now();
    for (const parcel of start.parcels) {
      parcel.note = null;
      parcel.place = { kind: "inFlight", site: start.site, source: start.source.name, since };
    }
    const slot = this.#state.slots.take(since, start.proven);
    this.#track(this.#fly(start).finally(() => this.#state.slots.free(slot)));
  }

  /** Verdicts for recipients that no host was found for. */
  unroutable(parcels: readonly Parcel[], outcome: Outcome): void {
    const result = {
      ...{ outcomes: [], host: null, address: null, tls: null },
      ...{ failedAt: null, unbound: null, dsnTaken: false },
    };
    const byEntry = Map.groupBy(parcels, (parcel) => parcel.entry);
    for (const [entry, group] of byEntry) {
      const indices = release(entry, group);
      const outcomes = indices.map(() => outcome);
      this.#track(this.#land(entry, indices, { ...result, outcomes }, null, otherProvider.name));
    }
  }

  expired(entry: Entry, conclusions: readonly Conclusion[]): void {
    for (const conclusion of conclusions) this.#tell(entry, conclusion, null, otherProvider.name);
    this.#track(this.#aftermath.conclude(entry, conclusions, false));
  }

  /** Waits for what is under way, breaks off what takes longer than the grace, waits a little for that. */
  async end(graceSeconds: number): Promise<void> {
    const landed = async () => {
      while (this.#flying.size > 0) await Promise.allSettled(this.#flying);
    };
    await within(this.#ports.clock, landed(), graceSeconds * 1000);
    this.#stop.abort();
    await within(this.#ports.clock, landed(), BREAK_OFF_MS);
    if (this.#flying.size > 0) {
      this.#ports.log.warn("stopped with outcomes not recorded", { transactions: this.#flying.size });
    }
  }

  #track(work: Promise<void>): void {
    const tracked: Promise<void> = work
      .catch((error: unknown) => this.#ports.log.error("a transaction ended in a fault of ours", { error }))
      .finally(() => {
        this.#flying.delete(tracked);
        this.#events.landed();
      });
    this.#flying.add(tracked);
  }

  async #fly(start: Start): Promise<void> {
    const { site, source, parcels, reservation } = start;
    const { paths, gate, compiled } = this.#state;
    const entry = parcels[0]?.entry;
    if (entry === undefined || compiled === null) return this.#free(start, 0);
    const { config } = compiled;
    const indices = parcels.flatMap((parcel) => parcel.indices);
    const recipients = indices.flatMap((index) => entry.recipients[index] ?? []);
    const signal = this.#stop.signal;
    const began = this.#ports.clock.now();
    const end = await attempt(this.#ports, {
      message: entry.message,
      recipients,
      queue: site,
      source,
      config,
      promised: reservation.durable,
      signal,
    });
    const now = this.#ports.clock.now();
    if (end.kind === "unpromised") {
      // Units that the spool did not promise are not spent.
      gate.fail(end.reason);
      this.#free(start, 0);
      return this.#giveBack(parcels, now, null);
    }
    if (end.kind === "stopped") {
      this.#free(start, 0);
      return this.#giveBack(parcels, now, "broken off by a stop");
    }
    if (end.kind === "local") {
      this.#ports.log.error("a message cannot be sent for reasons of ours", {
        id: entry.message.id,
        reason: end.reason,
      });
      this.#free(start, 0);
      return this.#giveBack(parcels, now + LOCAL_RETRY_MS, end.reason);
    }
    const { result } = end;
    if (signal.aborted && result.outcomes.every(({ kind }) => kind === "unreachable")) {
      // Broken off by the stop: it is neither an attempt nor the site's fault.
      this.#free(start, result.outcomes.filter(mayBeAccepted).length);
      return this.#giveBack(parcels, now, "broken off by a stop");
    }
    if (result.unbound !== null && result.outcomes.every(({ kind }) => kind === "unreachable")) {
      // Nobody was spoken to: neither an attempt nor the site's fault.
      this.#state.plumbing.failed(source.name, result.unbound);
      this.#free(start, 0);
      return this.#giveBack(parcels, now, result.unbound);
    }
    this.#ports.metrics.transaction(
      { source: source.name, provider: site.provider.name },
      (now - began) / 1000,
    );
    const found = findings(result.outcomes, result.failedAt, site.provider.name);
    const draw = this.#ports.random.draw();
    const quieter = paths.learn(source.name, site.provider, site.site, found, config.queue.retry, now, draw);
    for (const { about, event, state } of quieter) {
      this.#ports.log.warn("sending slows down", {
        source: source.name,
        provider: site.provider.name,
        site: site.site,
        about,
        event: event.kind === "succeeded" ? null : event.rule,
        phase: state.phase,
      });
    }
    this.#free(start, result.outcomes.filter(mayBeAccepted).length);
    release(entry, parcels);
    await this.#land(entry, indices, result, source.name, site.provider.name);
  }

  /** Gives up connection and reservation. */
  #free({ site, source, reservation }: Start, accepted: number): void {
    this.#state.meter.settle(reservation, accepted);
    this.#state.paths.ended(source.name, site.provider, site.site);
    this.#events.ended(site, source, reservation.count - accepted);
  }

  #giveBack(parcels: readonly Parcel[], at: Instant, note: string | null): void {
    for (const parcel of parcels) {
      parcel.note = note;
      this.#events.returned(parcel, at);
    }
  }

  async #land(
    entry: Entry,
    indices: readonly number[],
    result: DeliveryResult,
    source: string | null,
    provider: string,
  ): Promise<void> {
    const { compiled } = this.#state;
    if (compiled === null) return;
    const around = {
      now: this.#ports.clock.now(),
      expiresAt: entry.message.expiresAt,
      draw: this.#ports.random.draw(),
      retry: queueClassOf(compiled, entry.message).retry,
      provider,
      source,
      host: result.host,
      othersDelivered: result.outcomes.some(({ kind }) => kind === "delivered"),
    };
    const conclusions = indices.flatMap((index, position): Conclusion[] => {
      const recipient = entry.recipients[index];
      if (recipient === undefined) return [];
      const outcome: Outcome = result.outcomes[position] ?? {
        kind: "unreachable",
        stage: result.failedAt ?? "reset",
        reason: "no outcome was given",
      };
      return [{ index, verdict: decide(recipient, outcome, around) }];
    });
    for (const conclusion of conclusions) this.#tell(entry, conclusion, source, provider);
    await this.#aftermath.conclude(entry, conclusions, result.dsnTaken);
  }

  /** Log, metrics and reputation of one recipient's outcome. */
  #tell(entry: Entry, { index, verdict }: Conclusion, source: string | null, provider: string): void {
    const recipient = entry.recipients[index];
    if (recipient === undefined) return;
    const at = this.#ports.clock.now();
    const tally = tallyOf(verdict, recipient.last, at);
    if (tally !== null && source !== null) this.#state.statistics.add({ source, provider, at, tally });
    const result = resultOf(verdict);
    this.#ports.metrics.outcome({ source: source ?? "", provider, result, class: verdict.class ?? "" });
    const { last } = verdict;
    if (verdict.kind === "delivered") {
      const { queueClass = DEFAULT_CLASS, receivedAt } = entry.message;
      this.#ports.metrics.delivered({ queueClass }, (at - receivedAt) / 1000);
    }
    this.#ports.log.info(result, {
      id: entry.message.id,
      recipient: this.#ports.log.address(recipient.address),
      attempts: verdict.attempts,
      source,
      provider,
      host: last.host,
      code: last.code,
      enhanced: last.enhanced,
      rule: last.rule,
      ...(verdict.kind === "retry" ? { nextTry: new Date(verdict.at).toISOString() } : {}),
    });
  }
}

/** A connection lost around the final dot leaves open whether the peer took it: the allowance says it did. */
function mayBeAccepted(outcome: Outcome): boolean {
  return outcome.kind === "delivered" || (outcome.kind === "unreachable" && outcome.stage === "content");
}

function resultOf(verdict: Verdict): "delivered" | "deferred" | "bounced" | "expired" {
  switch (verdict.kind) {
    case "delivered":
      return "delivered";
    case "retry":
      return "deferred";
    case "bounced":
      return verdict.reason === "Expired" ? "expired" : "bounced";
  }
}

/** Ends parcels; their recipients go on by index. */
function release(entry: Entry, parcels: readonly Parcel[]): number[] {
  for (const parcel of parcels) {
    entry.parcels.delete(parcel);
    parcel.place = { kind: "gone" };
  }
  return parcels.flatMap((parcel) => parcel.indices);
}
