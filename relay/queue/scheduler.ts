/**
 * Moves parcels between their places up to the door of a site: scheduled → due → (held | unrouted) →
 * resolving → ready. It takes them out of any place again when they expire or the configuration changes.
 */
import type { Route } from "../contract/config.ts";
import type { Instant, Outcome } from "../message.ts";
import { providerOfHosts, providerOfSmartHost } from "../policy/provider.ts";
import { rankOf } from "../policy/queueClass.ts";
import type { Resolution } from "../smtp/delivery.ts";
import { queueClassOf } from "./compiledConfig.ts";
import type { EnginePorts } from "./enginePorts.ts";
import { type Entry, type Parcel, pack } from "./parcel.ts";
import { type QueueState, rememberSite } from "./queueState.ts";
import { Roster } from "./roster.ts";
import { type Rank, ranks } from "./shares.ts";
import { SiteQueue, tenantOf } from "./siteQueue.ts";
import { bounded, LOOKUP_MS, minutes } from "./watchdog.ts";

const lowest = ranks.length - 1;

interface Question {
  readonly key: string;
  readonly route: Route;
  readonly domain: string;
  readonly parcels: Set<Parcel>;
  /** On the roster still. */
  unasked: boolean;
}

export interface SchedulerEvents {
  /** A site has got this parcel ready. */
  ready(site: SiteQueue, parcel: Parcel): void;
  /** These cannot be sent anywhere (for now). */
  unroutable(parcels: readonly Parcel[], outcome: Outcome): void;
  /** The configuration keeps it, until there is another. */
  parked(parcel: Parcel): void;
  /** Something moved that the engine should look at. */
  changed(): void;
}

export class Scheduler {
  readonly #ports: EnginePorts;
  readonly #state: QueueState;
  readonly #events: SchedulerEvents;
  readonly #mostQuestions: number;
  readonly #questions = new Map<string, Question>();
  readonly #unasked = new Roster<Question>();
  #asking = 0;
  #closed = false;

  constructor(ports: EnginePorts, state: QueueState, events: SchedulerEvents, mostQuestions: number) {
    this.#ports = ports;
    this.#state = state;
    this.#events = events;
    this.#mostQuestions = mostQuestions;
  }

  /** Schedules recipients of a message that wait, each domain on its own. */
  admit(entry: Entry, indices: readonly number[]): void {
    for (const parcel of pack(entry, indices)) {
      entry.parcels.add(parcel);
      this.schedule(parcel, parcel.dueAt);
    }
  }

  schedule(parcel: Parcel, at: Instant): void {
    const since = this.#ports.clock.now();
    parcel.place = { kind: "scheduled", node: this.#state.due.add(at, parcel), since };
  }

  /** Takes a parcel out of wherever it waits. False: it is in flight or being recorded, and stays. */
  takeOut(parcel: Parcel): boolean {
    const { place } = parcel;
    switch (place.kind) {
      case "inFlight":
      case "recording":
        return false;
      case "scheduled":
        this.#state.due.remove(place.node);
        break;
      case "held":
      case "unrouted":
        this.#state.parked.delete(parcel);
        break;
      case "ready":
        place.site.delete(parcel);
        break;
      case "resolving":
        for (const question of this.#questions.values()) question.parcels.delete(parcel);
        break;
      case "inLane":
      case "gone":
        break;
    }
    parcel.place = { kind: "gone" };
    return true;
  }

  /** Moves on all that is due. */
  processDue(now: Instant): void {
    for (;;) {
      const parcel = this.#state.due.popDue(now);
      if (parcel === undefined) return;
      this.advance(parcel, now);
    }
  }

  /** A parcel whose time has come (again): on to its site, unless the configuration keeps it. */
  advance(parcel: Parcel, now: Instant): void {
    const { compiled } = this.#state;
    if (compiled === null) return this.schedule(parcel, now);
    const { sendingDomain } = parcel.entry.message;
    if (sendingDomain !== null && compiled.held.has(sendingDomain)) {
      parcel.place = { kind: "held" };
      this.#state.parked.add(parcel);
      this.#events.parked(parcel);
      return;
    }
    const route = compiled.routeOf(parcel.domain);
    if (route === null) {
      parcel.place = { kind: "unrouted" };
      this.#state.parked.add(parcel);
      this.#events.parked(parcel);
      return;
    }
    this.#resolve(parcel, route, now);
  }

  /** Starts over with what is parked and, when routing changed, with what is ready. */
  restart(everything: boolean, now: Instant): void {
    const again = new Set(this.#state.parked);
    if (everything)
      for (const site of this.#state.sites.values()) for (const parcel of site) again.add(parcel);
    for (const parcel of again) {
      this.takeOut(parcel);
      this.schedule(parcel, now);
    }
    // Answers to questions of the former routing are not used.
    if (everything) {
      for (const question of this.#questions.values()) {
        for (const parcel of question.parcels) this.schedule(parcel, now);
        question.parcels.clear();
      }
      this.#questions.clear();
      // What is in flight keeps its old site; everything else finds its way anew.
      this.#state.sites.clear();
    }
  }

  close(): void {
    this.#closed = true;
  }

  #resolve(parcel: Parcel, route: Route, now: Instant): void {
    parcel.place = { kind: "resolving", since: now };
    const target = route.to.kind === "smarthost" ? `host ${route.to.host}` : `domain ${parcel.domain}`;
    const key = `${route.name} ${target}`;
    let question = this.#questions.get(key);
    if (question === undefined) {
      question = { key, route, domain: parcel.domain, parcels: new Set(), unasked: true };
      this.#questions.set(key, question);
    }
    question.parcels.add(parcel);
    // Looked up in the order of sending: a mailing to ten thousand dead domains delays nobody else's lookup.
    const { message } = parcel.entry;
    if (question.unasked) this.#unasked.list(question, this.#rankOf(parcel), tenantOf(message));
    this.#askMore();
  }

  #askMore(): void {
    while (this.#asking < this.#mostQuestions && !this.#closed) {
      const question = this.#unasked.next()?.item;
      if (question === undefined) return;
      // Asked on another's turn.
      if (!question.unasked) continue;
      question.unasked = false;
      if (question.parcels.size === 0) {
        this.#forget(question);
        continue;
      }
      this.#asking++;
      void this.#ask(question);
    }
  }

  async #ask(question: Question): Promise<void> {
    const { route, domain } = question;
    const resolution = await this.#lookUp(route, domain);
    this.#asking--;
    this.#forget(question);
    if (!this.#closed) {
      this.#answer(question, resolution);
      this.#askMore();
      this.#events.changed();
    }
  }

  /** Never rejects, and ends. */
  async #lookUp(route: Route, domain: string): Promise<Resolution> {
    const { resolver, clock, log, metrics } = this.#ports;
    const failed = (reason: string) =>
      ({ kind: "unroutable", permanent: false, enhanced: "4.4.3", reason }) as const;
    const answer =
      route.to.kind === "smarthost" ? resolver.resolveHost(route.to.host) : resolver.resolve(domain);
    try {
      const resolution = await bounded(clock, answer, LOOKUP_MS);
      if (resolution !== null) return resolution;
    } catch (error) {
      log.error("the resolver failed", { error });
      return failed(String(error));
    }
    metrics.watchdog({ what: "lookup" });
    log.warn("the watchdog ended a lookup", { route: route.name, afterMs: LOOKUP_MS });
    return failed(`ended by the watchdog, the lookup did not end within ${minutes(LOOKUP_MS)}`);
  }

  #forget(question: Question): void {
    if (this.#questions.get(question.key) === question) this.#questions.delete(question.key);
  }

  #answer({ route, parcels }: Question, resolution: Resolution): void {
    if (parcels.size === 0) return;
    if (resolution.kind === "unroutable") {
      // A smart host is the owner's to name: its absence is never the recipient's fault.
      const permanent = resolution.permanent && route.to.kind === "pool";
      this.#events.unroutable([...parcels], { ...resolution, permanent });
      return;
    }
    const key = `${route.name} ${resolution.site}`;
    let site = this.#state.sites.get(key);
    if (site === undefined) {
      const provider =
        route.to.kind === "smarthost"
          ? providerOfSmartHost(route.to.host, route.to.connections)
          : providerOfHosts(resolution.hosts);
      site = new SiteQueue({ key, site: resolution.site, provider, route, hosts: resolution.hosts });
      this.#state.sites.set(key, site);
    }
    site.hosts = resolution.hosts;
    for (const parcel of parcels) {
      rememberSite(this.#state, parcel.domain, site);
      site.add(parcel, this.#rankOf(parcel), this.#ports.clock.now());
      this.#events.ready(site, parcel);
    }
  }

  #rankOf({ entry }: Parcel): Rank {
    const { compiled } = this.#state;
    return compiled === null ? lowest : rankOf(queueClassOf(compiled, entry.message));
  }
}
