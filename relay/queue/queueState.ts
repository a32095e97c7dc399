/**
 * Everything the engine knows, as one value that its parts share: the scheduler and the dispatcher change
 * it, the views (explain, listing, report) only read it.
 */
import { forgetOldest } from "../kit/forgetOldest.ts";
import type { Instant, MessageId } from "../message.ts";
import { otherProvider, type Provider } from "../policy/providers.ts";
import { Backlog } from "./backlog.ts";
import type { CompiledConfig } from "./compiledConfig.ts";
import { DueHeap } from "./dueHeap.ts";
import type { AllowanceMeter } from "./meter.ts";
import type { Entry, Parcel } from "./parcel.ts";
import type { PathBook } from "./paths.ts";
import type { Plumbing } from "./plumbing.ts";
import type { SiteQueue } from "./siteQueue.ts";
import type { Slots } from "./slots.ts";
import type { SpoolGate } from "./spoolGate.ts";
import type { Statistics } from "./statistics.ts";

export interface QueueState {
  compiled: CompiledConfig | null;
  /** Messages in memory. */
  readonly entries: Map<MessageId, Entry>;
  /** All the others. */
  readonly backlog: Backlog;
  /** Parcels in memory that wait for their time. */
  readonly due: DueHeap<Parcel>;
  /** Messages in memory by their expiry, wherever they wait. */
  readonly expiry: DueHeap<Entry>;
  /** Parcels whose sending domain is held, and those no route takes: until the configuration changes. */
  readonly parked: Set<Parcel>;
  readonly sites: Map<string, SiteQueue>;
  /** What the last resolution of a domain said, for views; bounded. */
  readonly knownSites: Map<string, { readonly site: string; readonly provider: Provider }>;
  readonly meter: AllowanceMeter;
  readonly paths: PathBook;
  readonly slots: Slots;
  readonly plumbing: Plumbing;
  readonly gate: SpoolGate;
  readonly statistics: Statistics;
  usageSince: Instant;
  /** Messages of a former life that are queued and not yet taken over. */
  untold: number;
}

/** Domains whose site is remembered. */
const MOST_KNOWN = 20_000;

export function createQueueState(
  parts: Pick<QueueState, "meter" | "paths" | "slots" | "plumbing" | "gate" | "statistics">,
  now: Instant,
): QueueState {
  return {
    ...parts,
    compiled: null,
    entries: new Map(),
    backlog: new Backlog(),
    due: new DueHeap(),
    expiry: new DueHeap(),
    parked: new Set(),
    sites: new Map(),
    knownSites: new Map(),
    usageSince: now,
    untold: 0,
  };
}

export function rememberSite(
  state: QueueState,
  domain: string,
  known: { readonly site: string; readonly provider: Provider },
): void {
  state.knownSites.delete(domain);
  state.knownSites.set(domain, known);
  forgetOldest(state.knownSites, MOST_KNOWN);
}

/** Site and provider of a parcel as far as known; the recipient domain stands in for the site. */
export function whereTo(
  state: QueueState,
  parcel: Parcel,
): { readonly site: string; readonly provider: Provider } {
  const { place } = parcel;
  if (place.kind === "ready" || place.kind === "inFlight") return place.site;
  return whereToDomain(state, parcel.domain);
}

export function whereToDomain(
  state: QueueState,
  domain: string,
): { readonly site: string; readonly provider: Provider } {
  return state.knownSites.get(domain) ?? { site: domain, provider: otherProvider };
}
