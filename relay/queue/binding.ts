/**
 * Why a parcel waits: every restraint on it in words, the one that ends last first. The one place that
 * answers "why" for explain, the queue listing and the message view; it asks the same functions that
 * admit, so that what it says is what binds.
 */
import type { BindingRule } from "../contract/admin.ts";
import type { Instant, LastAttempt } from "../message.ts";
import { limitsFor, TOTAL } from "../policy/allowance.ts";
import { utcDay } from "../policy/utcDay.ts";
import { admitSite, type SiteAdmission, timeOf } from "./admission.ts";
import { sourcesOf } from "./compiledConfig.ts";
import type { Parcel } from "./parcel.ts";
import { type QueueState, whereTo } from "./queueState.ts";
import type { Slots } from "./slots.ts";

export interface Binding {
  readonly rule: BindingRule;
  readonly nextTryAt: Instant | null;
  /** Sentences about what binds after it. */
  readonly next: readonly string[];
}

/** Admissions already asked, for callers that bind many parcels of a site at one instant. */
export type AdmissionCache = Map<string, SiteAdmission>;

interface Restraint {
  readonly kind: BindingRule["kind"];
  readonly text: string;
  readonly since: Instant;
  /** Null: until someone acts or something happens. */
  readonly until: Instant | null;
}

export function bind(
  state: QueueState,
  parcel: Parcel,
  now: Instant,
  cache: AdmissionCache = new Map(),
): Binding {
  const { place } = parcel;
  const failure = state.gate.failure;
  if (place.kind === "inFlight") {
    const text = `being delivered to ${place.site.site} from address ${place.source}`;
    return only(parcel, { kind: "InFlight", text, since: place.since, until: null });
  }
  if (place.kind === "recording") {
    return only(
      parcel,
      failure === null
        ? {
            kind: "InFlight",
            text: parcel.note ?? "its outcome is being recorded",
            since: place.since,
            until: null,
          }
        : {
            kind: "SpoolFailed",
            text: `its outcome cannot be recorded: ${failure.reason}`,
            since: failure.since,
            until: null,
          },
    );
  }
  const all = restraintsOf(state, parcel, now, cache);
  // What has no end binds longest; among equals the order of restraintsOf. A connection soon comes free.
  const endOf = ({ kind, until }: Restraint) =>
    kind === "ConnectionLimit" ? now : (until ?? Number.POSITIVE_INFINITY);
  const [first, ...others] = all.toSorted((a, b) => endOf(b) - endOf(a));
  if (first === undefined) return dueNow(state, parcel, now);
  return {
    rule: ruleOf(parcel, first),
    nextTryAt: first.until,
    next: [...others.map(({ text }) => text), ...lookahead(state, parcel, first.kind, now)],
  };
}

function restraintsOf(state: QueueState, parcel: Parcel, now: Instant, cache: AdmissionCache): Restraint[] {
  const { compiled, gate } = state;
  if (compiled === null) {
    const since = parcel.entry.message.receivedAt;
    return [{ kind: "NoSource", text: "no configuration is in force yet", since, until: null }];
  }
  const all: Restraint[] = [];
  if (gate.failure !== null) {
    const text = `nothing is delivered while the spool cannot record: ${gate.failure.reason}`;
    all.push({ kind: "SpoolFailed", text, since: gate.failure.since, until: null });
  }
  if (compiled.pausedSince !== null) {
    const text = `relay ${compiled.config.relay.name} is paused (spec.paused)`;
    all.push({ kind: "RelayPaused", text, since: compiled.pausedSince, until: null });
  }
  const domain = parcel.entry.message.sendingDomain;
  const held = domain === null ? undefined : compiled.held.get(domain);
  if (held !== undefined) {
    const text = `sending domain ${domain} is held: ${held.reason || "no reason given"}`;
    all.push({ kind: "DomainHeld", text, since: held.since, until: null });
  }
  const route = compiled.routeOf(parcel.domain);
  if (route === null) {
    const text = `no route of the configuration takes ${parcel.domain}`;
    all.push({ kind: "NoSource", text, since: compiled.appliedAt, until: null });
  }
  if (parcel.dueAt > now) all.push(retryOf(parcel));
  else if (parcel.place.kind === "scheduled" && parcel.place.node.at > now) {
    const text = `${parcel.note ?? "set back"}; looked at again at ${timeOf(parcel.place.node.at)}`;
    all.push({ kind: "Retry", text, since: parcel.place.since, until: parcel.place.node.at });
  }
  const known = parcel.place.kind === "ready" ? parcel.place.site : state.knownSites.get(parcel.domain);
  if (route !== null && known !== undefined) {
    const key = `${route.name} ${known.site} ${parcel.preferredSource ?? ""}`;
    let verdict = cache.get(key);
    if (verdict === undefined) {
      verdict = admitSite(
        { ...state, compiled },
        { site: known.site, provider: known.provider, route },
        parcel.preferredSource,
        now,
        0,
      );
      cache.set(key, verdict);
    }
    if (verdict.kind === "blocked") all.push(verdict.block);
  }
  return all;
}

function retryOf(parcel: Parcel): Restraint {
  const first = parcel.entry.recipients[parcel.indices[0] ?? -1];
  const last = first?.last ?? null;
  const until = parcel.dueAt;
  const attempts = first?.attempts ?? 0;
  const tried =
    last === null
      ? "not tried yet"
      : `tried ${attempts} time${attempts === 1 ? "" : "s"}, last ${factOf(last)}`;
  const since = last?.at ?? parcel.entry.message.receivedAt;
  return { kind: "Retry", text: `${tried}; next try at ${timeOf(until)}`, since, until };
}

/** "421 4.7.28 at 2026-11-23 14:02:10Z (rule google/rate-4.7.28)". */
function factOf(last: LastAttempt): string {
  const fact =
    last.code === 0 ? last.text : `${last.code}${last.enhanced === null ? "" : ` ${last.enhanced}`}`;
  return `${fact} at ${timeOf(last.at)} (rule ${last.rule})`;
}

function dueNow(state: QueueState, parcel: Parcel, now: Instant): Binding {
  const { place, dueAt } = parcel;
  const text =
    place.kind === "ready"
      ? `in turn: ${place.site.size} ready for this site, ${place.site.inFlight} under way${full(state.slots, now)}`
      : place.kind === "inLane"
        ? `in turn: ${place.lane.length} wait for ${parcel.domain} on the disk, ${place.lane.inMemory} in memory`
        : place.kind === "resolving"
          ? `looking up where ${parcel.domain} takes mail`
          : "due";
  const rule = ruleOf(parcel, { kind: "Due", text, since: dueAt, until: null });
  return { rule, nextTryAt: now, next: lookahead(state, parcel, "Due", now) };
}

/** What keeps the turn from coming, when all places for transactions are taken. */
function full(slots: Slots, now: Instant): string {
  const slow = slots.slow === 0 ? "" : `, and ${slots.slow} slow ones`;
  if (!slots.hasRoom(now)) return `; all ${slots.quick} transactions of this relay are in use${slow}`;
  if (slots.hasRoomForUnproven(now)) return "";
  return `; all ${slots.unproven} transactions to sites that have not answered lately are in use${slow}`;
}

/** Most sources named in `next`. */
const MOST_NAMED = 4;

function lookahead(state: QueueState, parcel: Parcel, binding: BindingRule["kind"], now: Instant): string[] {
  const { compiled, meter } = state;
  const route = compiled?.routeOf(parcel.domain) ?? null;
  if (compiled === null || route === null) return [];
  const { provider } = whereTo(state, parcel);
  const said =
    binding === "Backoff" ? ["then 1 connection, one more each time as many messages went well"] : [];
  for (const source of sourcesOf(compiled, route).slice(0, MOST_NAMED)) {
    const limits = limitsFor(source.allowance, provider.name, now);
    for (const [counter, limit] of [
      [provider.name, limits.provider] as const,
      [TOTAL, limits.total] as const,
    ]) {
      if (limit === null) continue;
      const left = Math.max(0, limit - meter.used(source.name, counter, now));
      const whose = counter === TOTAL ? "" : ` for ${counter}`;
      said.push(`${left} of ${limit} left today${whose} on ${source.name} (warm-up, ${utcDay(now)})`);
    }
  }
  return said;
}

function only(parcel: Parcel, restraint: Restraint): Binding {
  return { rule: ruleOf(parcel, restraint), nextTryAt: null, next: [] };
}

/** What was there before the message keeps it since it was accepted. */
function ruleOf({ entry }: Parcel, { kind, text, since, until }: Restraint): BindingRule {
  const iso = (at: Instant | null) => (at === null ? null : new Date(at).toISOString());
  return { kind, text, since: iso(Math.max(since, entry.message.receivedAt)), until: iso(until) };
}
