/**
 * The engine's parts of RelayReport: counts and rules, without mail addresses, recipient domains or
 * hosts, so that they may travel into status and logs.
 */
import type { RelayReport, Restraint } from "../contract/report.ts";
import type { Instant } from "../message.ts";
import { TOTAL } from "../policy/allowance.ts";
import { DEFAULT_CLASS } from "../policy/queueClass.ts";
import type { CompiledConfig } from "./compiledConfig.ts";
import type { EnginePorts } from "./enginePorts.ts";
import { isoOf } from "./explain.ts";
import { secondsSince } from "./listing.ts";
import { type QueueState, whereTo, whereToDomain } from "./queueState.ts";

/** The engine's parts of RelayReport. */
export type EngineReport = Pick<
  RelayReport,
  | "queue"
  | "restraints"
  | "missingAddresses"
  | "unservedPools"
  | "usage"
  | "usageSince"
  | "counters"
  | "spool"
>;

const MOST_RESTRAINTS = 256;
const MOST_POOLS = 256;
/** Mail in classes that the configuration no longer has. */
const OTHER_CLASS = "other";
const LONGEST_REASON = 512;

export function reportQueue(ports: EnginePorts, state: QueueState): EngineReport {
  const now = ports.clock.now();
  const failure = state.gate.failure;
  const { health } = ports.spool;
  const setAside = ports.spool.setAside.length;
  const unserved = unservedPools(state.compiled);
  return {
    queue: queueOf(state, now),
    restraints: restraintsOf(state, now),
    missingAddresses: state.plumbing.all().map(({ source, reason, since }) => ({
      source,
      reason: reason.slice(0, LONGEST_REASON),
      since: isoOf(since),
    })),
    ...(unserved.length === 0 ? {} : { unservedPools: unserved }),
    usage: state.meter.usage(state.compiled?.sources ?? [], now),
    usageSince: isoOf(state.usageSince),
    counters: state.statistics.counters(),
    spool: {
      ...(failure !== null
        ? { state: "Failed", reason: failure.reason.slice(0, LONGEST_REASON) }
        : health.state === "Failed"
          ? { state: "Failed", reason: health.reason.slice(0, LONGEST_REASON) }
          : { state: "Ok", reason: "" }),
      ...(setAside === 0 ? {} : { setAside }),
    },
  };
}

function unservedPools(compiled: CompiledConfig | null): string[] {
  if (compiled === null) return [];
  const served = new Set(compiled.sources.map(({ pool }) => pool));
  const asked = compiled.config.routes.flatMap(({ to }) => (to.pool === null ? [] : [to.pool]));
  return [...new Set(asked)].filter((pool) => !served.has(pool)).slice(0, MOST_POOLS);
}

function queueOf(state: QueueState, now: Instant): RelayReport["queue"] {
  const providers = new Map<string, { recipients: number; oldest: Instant }>();
  const known = state.compiled?.queueClasses ?? new Map<string, unknown>();
  const classes = new Map<string, { recipients: number; oldest: Instant }>();
  const count = (counts: typeof classes, key: string, recipients: number, receivedAt: Instant) => {
    const before = counts.get(key);
    counts.set(key, {
      recipients: (before?.recipients ?? 0) + recipients,
      oldest: Math.min(before?.oldest ?? receivedAt, receivedAt),
    });
  };
  let recipients = 0;
  let oldest = Number.POSITIVE_INFINITY;
  for (const entry of state.entries.values()) {
    const { receivedAt, queueClass = DEFAULT_CLASS } = entry.message;
    oldest = Math.min(oldest, receivedAt);
    for (const parcel of entry.parcels) {
      const { name } = whereTo(state, parcel).provider;
      recipients += parcel.indices.length;
      count(providers, name, parcel.indices.length, receivedAt);
      count(classes, known.has(queueClass) ? queueClass : OTHER_CLASS, parcel.indices.length, receivedAt);
    }
  }
  for (const { lane, oldest: since } of state.backlog.view.lanes()) {
    const { name } = whereToDomain(state, lane.domain).provider;
    oldest = Math.min(oldest, since);
    recipients += lane.recipients;
    count(providers, name, lane.recipients, since);
    const queueClass = lane.queueClass ?? DEFAULT_CLASS;
    count(classes, known.has(queueClass) ? queueClass : OTHER_CLASS, lane.recipients, since);
  }
  return {
    messages: state.entries.size + state.backlog.size + state.untold,
    recipients,
    oldestSeconds: oldest === Number.POSITIVE_INFINITY ? null : secondsSince(oldest, now),
    providers: [...providers].map(([provider, found]) => ({
      provider,
      recipients: found.recipients,
      oldestSeconds: secondsSince(found.oldest, now),
    })),
    // Not where there are none: a single row would say what the sums above say.
    ...(known.size <= 1 && !classes.has(OTHER_CLASS)
      ? {}
      : {
          classes: [...classes].map(([queueClass, found]) => ({
            queueClass,
            recipients: found.recipients,
            oldestSeconds: secondsSince(found.oldest, now),
          })),
        }),
  };
}

function restraintsOf(state: QueueState, now: Instant): Restraint[] {
  const found = new Map<string, Restraint>();
  const add = (restraint: Restraint) => {
    const key = `${restraint.kind} ${restraint.source} ${restraint.provider} ${restraint.reason}`;
    if (!found.has(key)) found.set(key, { ...restraint, reason: restraint.reason.slice(0, LONGEST_REASON) });
  };
  for (const source of state.compiled?.sources ?? []) {
    if (source.state !== "Paused") continue;
    const since = state.compiled?.sourcePausedSince.get(source.name) ?? now;
    add({
      source: source.name,
      provider: TOTAL,
      kind: "Paused",
      reason: source.stateReason,
      since: isoOf(since),
      until: null,
    });
  }
  for (const { source, reason, since } of state.plumbing.all()) {
    add({ source, provider: TOTAL, kind: "Paused", reason, since: isoOf(since), until: null });
  }
  for (const restraint of state.paths.restraints(now)) add(restraint);
  for (const { block, size } of state.sites.values()) {
    // Backoffs are told by their paths, pauses by their sources.
    if (block === null || size === 0) continue;
    if (block.kind !== "Allowance" && block.kind !== "ConnectionLimit") continue;
    add({
      source: block.source,
      provider: block.provider,
      kind: block.kind,
      reason: block.reportText,
      since: isoOf(block.since),
      until: isoOf(block.until),
    });
  }
  return [...found.values()].slice(0, MOST_RESTRAINTS);
}
