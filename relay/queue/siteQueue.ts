/**
 * What is ready for one site by one route: parcels in turn, and what keeps the site from sending now.
 * The source is chosen only when a transaction starts, so that a paused or exhausted address holds
 * nothing that another address of the pool could send. What is bound to a source is thereby bounded by
 * its connections; what is ready is a reference of some hundred bytes, bounded by what the spool holds.
 */
import type { Route } from "../contract/config.ts";
import type { Instant, MessageId, QueuedMessage } from "../message.ts";
import type { Provider } from "../policy/providers.ts";
import type { MxHost } from "../smtp/delivery.ts";
import type { HeapNode } from "./dueHeap.ts";
import { type Destination, type Parcel, recipientsOf, splitOff } from "./parcel.ts";
import type { Rank } from "./shares.ts";
import { PriorityTurns, type Standing, type Turn } from "./turns.ts";

/** Why nothing of a site can start now. Kinds are those of the admin contract. */
export interface Block {
  readonly kind: "Backoff" | "Allowance" | "ConnectionLimit" | "SourcePaused" | "SourceMissing" | "NoSource";
  /** The source that binds, null when there is none. */
  readonly source: string | null;
  /** Provider it holds, or "total" for every one. */
  readonly provider: string;
  readonly text: string;
  /** The same without host or site, for reports that may name neither. */
  readonly reportText: string;
  readonly since: Instant;
  readonly until: Instant | null;
  /** Units of an allowance that come back would end it, whatever else binds. */
  readonly exhausted: boolean;
}

export class SiteQueue implements Destination {
  readonly key: string;
  readonly site: string;
  readonly provider: Provider;
  readonly route: Route;
  /** Of the latest resolution. */
  hosts: readonly MxHost[];
  /** Transactions under way. */
  inFlight = 0;
  block: Block | null = null;
  sleeper: HeapNode<SiteQueue> | null = null;
  /** What it waits for that may come before its time: a key of the dispatcher's. */
  waitsAt: string | null = null;
  /** It has been blocked since it was empty. */
  narrow = false;
  /** Set while it was woken by a freed connection: whom to wake next, if it has no use for it. */
  woken: { readonly key: string; readonly left: number } | null = null;
  readonly #turns = new PriorityTurns<Parcel>();
  readonly #byMessage = new Map<MessageId, Set<Parcel>>();

  constructor(options: {
    key: string;
    site: string;
    provider: Provider;
    route: Route;
    hosts: readonly MxHost[];
  }) {
    this.key = options.key;
    this.site = options.site;
    this.provider = options.provider;
    this.route = options.route;
    this.hosts = options.hosts;
  }

  /** Parcels that are ready. */
  get size(): number {
    return this.#turns.size;
  }

  add(parcel: Parcel, rank: Rank, now: Instant): void {
    const place = { kind: "ready", site: this, since: now, rank } as const;
    parcel.place = place;
    this.#turns.add(standingOf(parcel, rank), parcel);
    const { id } = parcel.entry.message;
    const siblings = this.#byMessage.get(id);
    if (siblings === undefined) this.#byMessage.set(id, new Set([parcel]));
    else siblings.add(parcel);
  }

  delete(parcel: Parcel): void {
    if (parcel.place.kind === "ready") this.#turns.delete(standingOf(parcel, parcel.place.rank), parcel);
    const { id } = parcel.entry.message;
    const siblings = this.#byMessage.get(id);
    siblings?.delete(parcel);
    if (siblings?.size === 0) this.#byMessage.delete(id);
    if (this.#byMessage.size === 0 && this.block === null) this.narrow = false;
  }

  /**
   * Whose turn it is. While the site takes whatever comes, that is the dispatcher's to say (`rank` and
   * `tenant`); once it has held something back, its own: who waits longest at a narrow door goes first, also
   * when he has many other doors.
   */
  turnFor(rank: Rank, tenant: string): Turn<Parcel> | undefined {
    return this.narrow ? this.#turns.turn : this.#turns.turnOf(rank, tenant);
  }

  /** The highest priority that is ready, null when nothing is. */
  get top(): Rank | null {
    return this.#turns.top;
  }

  /** Tenants with something of this priority, in turn. */
  tenants(rank: Rank): Iterable<string> {
    return this.#turns.tenants(rank);
  }

  /**
   * Takes the parcel of this turn and others of the same message (this site serves several of its domains),
   * at most `most` recipients in all; what is more stays.
   */
  take(turn: Turn<Parcel>, most: number): Parcel[] {
    if (most < 1) return [];
    const first = turn.item;
    this.#turns.took(turn);
    const siblings = this.#byMessage.get(first.entry.message.id) ?? [];
    const taken: Parcel[] = [];
    for (const parcel of [first, ...siblings]) {
      if (taken.includes(parcel) || parcel.preferredSource !== first.preferredSource) continue;
      const room = most - recipientsOf(taken);
      if (room <= 0) break;
      if (parcel.indices.length > room) {
        taken.push(splitOff(parcel, room));
        break;
      }
      taken.push(parcel);
    }
    for (const parcel of taken) this.delete(parcel);
    return taken;
  }

  [Symbol.iterator](): Iterator<Parcel> {
    return this.#turns[Symbol.iterator]();
  }
}

/**
 * Credentials take turns. Within one its classes, sending domains and recipient domains do: a customer who
 * sends for a hundred domains is still one customer.
 */
function standingOf(parcel: Parcel, rank: Rank): Standing {
  const { message } = parcel.entry;
  const { sendingDomain, queueClass } = message;
  const lane = `${queueClass ?? ""} ${sendingDomain ?? ""} ${parcel.domain}`;
  return { rank, tenant: tenantOf(message), lane };
}

/** Mail without a credential (of trusted networks, and our own bounces) is one tenant. */
export function tenantOf({ credential }: Pick<QueuedMessage, "credential">): string {
  return credential ?? "";
}
