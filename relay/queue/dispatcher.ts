/**
 * Whose transaction starts next: sites by priority, then by credentials in turn (roster.ts), blocked ones set
 * aside until what blocks them ends. Within a site the same order holds among its parcels (siteQueue.ts). Nothing polls: a blocked site sleeps until its instant, or waits for a connection of
 * the same pool and peer to come free.
 */
import type { EgressSource } from "../contract/config.ts";
import type { Instant } from "../message.ts";
import { peerKey } from "../policy/provider.ts";
import { otherProvider, providers } from "../policy/providers.ts";
import { admitSite } from "./admission.ts";
import { type CompiledConfig, sourcesOf } from "./compiledConfig.ts";
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
const ALLOWANCE = "allowance ";
const providerNames = [...providers, otherProvider].map(({ name }) => name);
/** Tenants that a narrow site is listed under at a time, so that waking it costs the same always. */
const MOST_TENANTS_LISTED = 4;

export class Dispatcher {
  readonly #state: QueueState;
  readonly #draw: () => number;
  readonly #resolveAgain: (parcel: Parcel, now: Instant) => void;
  readonly #blocked: (site: SiteQueue, block: Block) => void;
  /** Sites that may have something to start, in turn. */
  readonly #runnable = new Roster<SiteQueue>();
  /** Sites that have not answered lately, when the places for such are taken. */
  readonly #newcomers = new Roster<SiteQueue>();
  readonly #sleeping = new DueHeap<SiteQueue>();
  /** Sites that wait for a connection, by pool and peer, and for units of an allowance, by pool and provider. */
  readonly #waiters = new Map<string, Set<SiteQueue>>();

  constructor(
    state: QueueState,
    draw: () => number,
    resolveAgain: (parcel: Parcel, now: Instant) => void,
    blocked: (site: SiteQueue, block: Block) => void,
  ) {
    this.#state = state;
    this.#blocked = blocked;
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

  /** A transaction has ended: its connection is free, and so are units of its source's allowance that it did not use. */
  ended(site: SiteQueue, source: EgressSource, unusedUnits: number): void {
    site.inFlight--;
    const key = connectionKey(site);
    this.#wakeWaiter(key, this.#waiters.get(key)?.size ?? 0);
    if (unusedUnits > 0) {
      // Each unit is good for a transaction, of this provider or, as part of the total, of another.
      for (const name of providerNames) this.#wakeWaiter(allowanceKey(source.pool, name), unusedUnits);
    }
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
        const { block } = verdict;
        const spent = woken?.key.startsWith(ALLOWANCE)
          ? block.exhausted
          : this.#isFull(block, site, compiled, now);
        if (!spent) this.#passOn(woken);
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
      this.#passOn(woken, true);
      return { site, source, proven, parcels, reservation };
    }
  }

  /** Whether no other site of the same peer finds a connection either. */
  #isFull({ kind }: Block, site: SiteQueue, compiled: CompiledConfig, now: Instant): boolean {
    const { paths } = this.#state;
    const isFull = (source: EgressSource) => paths.isFull(source.name, site.provider, site.site, now);
    return kind === "ConnectionLimit" && sourcesOf(compiled, site.route).every(isFull);
  }

  #block(site: SiteQueue, block: Block): void {
    site.block = block;
    site.narrow = true;
    if (site.sleeper !== null) this.#sleeping.remove(site.sleeper);
    site.sleeper = null;
    if (block.exhausted) this.#wait(site, allowanceKey(site.route.to.pool, site.provider.name));
    if (block.kind === "ConnectionLimit") {
      this.#wait(site, connectionKey(site));
      site.sleeper = this.#sleeping.add(block.since + CONNECTION_WAIT_MS, site);
    } else if (block.until !== null) {
      site.sleeper = this.#sleeping.add(block.until, site);
    }
    this.#blocked(site, block);
  }

  #wait(site: SiteQueue, key: string): void {
    this.#leave(site);
    site.waitsAt = key;
    const waiters = this.#waiters.get(key);
    if (waiters === undefined) this.#waiters.set(key, new Set([site]));
    else waiters.add(site);
  }

  #leave(site: SiteQueue): void {
    if (site.waitsAt === null) return;
    const waiters = this.#waiters.get(site.waitsAt);
    waiters?.delete(site);
    if (waiters?.size === 0) this.#waiters.delete(site.waitsAt);
    site.waitsAt = null;
  }

  #wake(site: SiteQueue): void {
    this.#unblock(site);
    this.#list(site, null);
  }

  #unblock(site: SiteQueue): void {
    if (site.sleeper !== null) this.#sleeping.remove(site.sleeper);
    site.sleeper = null;
    site.block = null;
    this.#leave(site);
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
    if (left <= 0) return;
    for (const site of this.#waiters.get(key) ?? []) {
      if (site.size > 0) {
        this.#wake(site);
        site.woken = { key, left };
        return;
      }
      // Its mail expired, or found another way by a new configuration.
      this.#unblock(site);
      this.#discard(site);
    }
  }

  /** What woke a site is there for the next one too, unless this one has taken the last of it. */
  #passOn(woken: SiteQueue["woken"], started = false): void {
    if (woken === null) return;
    // A site that waits for units stands there again only when there are none: this comes to an end.
    const spent = started || !woken.key.startsWith(ALLOWANCE);
    this.#wakeWaiter(woken.key, woken.left - (spent ? 1 : 0));
  }

  #discard(site: SiteQueue): void {
    if (site.size > 0 || site.inFlight > 0 || this.#state.sites.get(site.key) !== site) return;
    this.#state.sites.delete(site.key);
    if (site.sleeper !== null) this.#sleeping.remove(site.sleeper);
    site.sleeper = null;
    this.#leave(site);
  }
}

function allowanceKey(pool: string | null, provider: string): string {
  return `${ALLOWANCE}${pool ?? ""} ${provider}`;
}

function connectionKey(site: SiteQueue): string {
  return `${site.route.to.pool ?? ""} ${peerKey(site.provider.name, site.site)}`;
}
