/**
 * Whose transaction starts next: sites by priority, then by credentials in turn (roster.ts), blocked ones set
 * aside until what blocks them ends. Within a site the same order holds among its parcels (siteQueue.ts). Nothing polls: a blocked site sleeps until its instant, or waits for a connection of
 * the same pool and peer to come free.
 */
import type { EgressSource } from "../contract/config.ts";
import type { Instant } from "../message.ts";
import { peerKey } from "../policy/provider.ts";
import { admitSite } from "./admission.ts";
import { sourcesOf } from "./compiledConfig.ts";
import { DueHeap } from "./dueHeap.ts";
import type { Reservation } from "./meter.ts";
import type { Parcel } from "./parcel.ts";
import type { QueueState } from "./queueState.ts";
import { Roster } from "./roster.ts";
import type { Rank } from "./shares.ts";
import { type Block, type SiteQueue, tenantOf } from "./siteQueue.ts";

/** A transaction that may start: admitted, reserved, counted. */
export interface Start {
  readonly site: SiteQueue;
  readonly source: EgressSource;
  /** A session with the site has gone well lately. */
  readonly proven: boolean;
  readonly parcels: readonly Parcel[];
  readonly reservation: Reservation;
}

/** What was resolved longer ago is resolved again before it is sent; the resolver keeps to TTLs. */
const RESOLUTION_AGE_MS = 5 * 60_000;
/** A site that waits for a connection looks again after this, in case the news of one was lost. */
const CONNECTION_WAIT_MS = 60_000;
/** Tenants that a narrow site is listed under at a time, so that waking it costs the same always. */
const MOST_TENANTS_LISTED = 4;

export class Dispatcher {
  readonly #state: QueueState;
  readonly #draw: () => number;
  readonly #resolveAgain: (parcel: Parcel, now: Instant) => void;
  /** Sites that may have something to start, in turn. */
  readonly #runnable = new Roster<SiteQueue>();
  /** Sites that have not answered lately, when the places for such are taken. */
  readonly #newcomers = new Roster<SiteQueue>();
  readonly #sleeping = new DueHeap<SiteQueue>();
  /** Sites that wait for a connection, by pool and peer. */
  readonly #waiters = new Map<string, Set<SiteQueue>>();

  constructor(state: QueueState, draw: () => number, resolveAgain: (parcel: Parcel, now: Instant) => void) {
    this.#state = state;
    this.#draw = draw;
    this.#resolveAgain = resolveAgain;
  }

  /** When the next sleeping site wakes, or null. */
  get nextAt(): Instant | null {
    return this.#sleeping.nextAt;
  }

  /** A site has got this parcel ready. A blocked one stays blocked. */
  ready(site: SiteQueue, { place, entry }: Parcel): void {
    if (site.block !== null || place.kind !== "ready") return;
    this.#runnable.list(site, place.rank, tenantOf(entry.message));
  }

  /** Wakes the sites whose time has come. */
  wakeDue(now: Instant): void {
    for (let site = this.#sleeping.popDue(now); site !== undefined; site = this.#sleeping.popDue(now)) {
      this.#wake(site);
    }
  }

  /** Every limit may have changed. */
  wakeAll(): void {
    for (const site of this.#state.sites.values()) this.#wake(site);
  }

  /** A transaction has ended, and its connection is free. */
  ended(site: SiteQueue): void {
    site.inFlight--;
    const key = waiterKey(site);
    this.#wakeWaiter(key, this.#waiters.get(key)?.size ?? 0);
    this.#discard(site);
  }

  /** The next transaction, or null when no site may start one. */
  next(mostRecipients: number, now: Instant): Start | null {
    const { compiled, meter, paths, plumbing, slots } = this.#state;
    if (compiled === null) return null;
    for (;;) {
      const next =
        (slots.hasRoomForUnproven(now) ? this.#newcomers.next() : undefined) ?? this.#runnable.next();
      if (next === undefined) return null;
      const site = next.item;
      // Blocked on another's turn: when it is woken it comes back.
      if (site.block !== null) continue;
      const { woken } = site;
      site.woken = null;
      const turn = site.turnFor(next.rank, next.tenant);
      if (turn === undefined) {
        this.#discard(site);
        this.#passOn(woken);
        continue;
      }
      const parcel = turn.item;
      if (parcel.place.kind === "ready" && now - parcel.place.since > RESOLUTION_AGE_MS) {
        site.delete(parcel);
        this.#resolveAgain(parcel, now);
        site.woken = woken;
        this.#list(site, next);
        continue;
      }
      const verdict = admitSite(
        { compiled, meter, paths, plumbing },
        site,
        parcel.preferredSource,
        now,
        this.#draw(),
      );
      if (verdict.kind === "blocked") {
        this.#block(site, verdict.block);
        const { kind } = verdict.block;
        const full = sourcesOf(compiled, site.route).every((source) =>
          paths.isFull(source.name, site.provider, site.site, now),
        );
        if (kind !== "ConnectionLimit" || !full) this.#passOn(woken);
        continue;
      }
      const { source } = verdict;
      const proven = paths.isProven(source.name, site.provider, site.site, now);
      if (!proven && !slots.hasRoomForUnproven(now)) {
        this.#newcomers.list(site, next.rank, next.tenant);
        this.#passOn(woken);
        continue;
      }
      const room = meter.headroom(source, site.provider.name, mostRecipients, now);
      const parcels = room.kind === "granted" ? site.take(turn, room.count) : [];
      const count = parcels.reduce((sum, taken) => sum + taken.indices.length, 0);
      const reservation = meter.reserve(source, site.provider.name, count, now);
      paths.started(source.name, site.provider, site.site);
      site.inFlight++;
      // To the end of the round: one site after the other, whatever their length.
      this.#list(site, next);
      this.#passOn(woken);
      return { site, source, proven, parcels, reservation };
    }
  }

  #block(site: SiteQueue, block: Block): void {
    site.block = block;
    site.narrow = true;
    if (site.sleeper !== null) this.#sleeping.remove(site.sleeper);
    site.sleeper = null;
    if (block.kind === "ConnectionLimit") {
      const key = waiterKey(site);
      const waiters = this.#waiters.get(key);
      if (waiters === undefined) this.#waiters.set(key, new Set([site]));
      else waiters.add(site);
      site.sleeper = this.#sleeping.add(block.since + CONNECTION_WAIT_MS, site);
    } else if (block.until !== null) {
      site.sleeper = this.#sleeping.add(block.until, site);
    }
  }

  #wake(site: SiteQueue): void {
    if (site.sleeper !== null) this.#sleeping.remove(site.sleeper);
    site.sleeper = null;
    site.block = null;
    const key = waiterKey(site);
    const waiters = this.#waiters.get(key);
    waiters?.delete(site);
    if (waiters?.size === 0) this.#waiters.delete(key);
    this.#list(site, null);
  }

  /**
   * Puts a site back on the roster: under whom it was taken off for; once it is narrow, under some of those
   * whose mail is next there, because it goes by its own order then and any of them may bring it on.
   */
  #list(site: SiteQueue, taken: { readonly rank: Rank; readonly tenant: string } | null): void {
    if (!site.narrow && taken !== null) {
      if (site.turnFor(taken.rank, taken.tenant) !== undefined)
        this.#runnable.list(site, taken.rank, taken.tenant);
      return;
    }
    const rank = site.top;
    if (rank === null) return;
    let listed = 0;
    for (const tenant of site.tenants(rank)) {
      this.#runnable.list(site, rank, tenant);
      if (++listed === MOST_TENANTS_LISTED) return;
    }
  }

  /** Wakes the site that has waited longest; it wakes the next one when there may be room for it too. */
  #wakeWaiter(key: string, left: number): void {
    const [site] = this.#waiters.get(key) ?? [];
    if (site === undefined || left <= 0) return;
    this.#wake(site);
    site.woken = { key, left };
  }

  #passOn(woken: SiteQueue["woken"]): void {
    if (woken !== null) this.#wakeWaiter(woken.key, woken.left - 1);
  }

  #discard(site: SiteQueue): void {
    if (site.size > 0 || site.inFlight > 0 || this.#state.sites.get(site.key) !== site) return;
    this.#state.sites.delete(site.key);
    if (site.sleeper !== null) this.#sleeping.remove(site.sleeper);
    site.sleeper = null;
    this.#waiters.get(waiterKey(site))?.delete(site);
  }
}

function waiterKey(site: SiteQueue): string {
  return `${site.route.to.pool ?? ""} ${peerKey(site.provider.name, site.site)}`;
}
