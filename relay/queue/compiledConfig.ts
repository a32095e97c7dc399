/**
 * The configuration as the engine asks it: this pod's sources by pool, routes indexed, held domains, and
 * since when each of these has been so, for `explain`.
 */
import type { EgressSource, RelayConfig, Route } from "../contract/config.ts";
import type { Instant, QueuedMessage } from "../message.ts";
import { rowsOfSpool } from "../policy/allowance.ts";
import { classOf, type QueueClass, type QueueClasses, queueClasses } from "../policy/queueClass.ts";
import { compileRoutes, type Router } from "../policy/route.ts";

export interface CompiledConfig {
  readonly config: RelayConfig;
  readonly podName: string;
  readonly routeOf: Router;
  readonly queueClasses: QueueClasses;
  /** Every source of this pod. */
  readonly sources: readonly EgressSource[];
  readonly held: ReadonlyMap<string, { readonly reason: string; readonly since: Instant }>;
  readonly pausedSince: Instant | null;
  readonly sourcePausedSince: ReadonlyMap<string, Instant>;
  readonly appliedAt: Instant;
}

/** Smart hosts without a pool are reached from the system's own address. */
const SYSTEM_SOURCE = "system";

export function compileConfig(
  config: RelayConfig,
  podName: string,
  before: CompiledConfig | null,
  now: Instant,
  spoolCreatedAt: Instant,
): CompiledConfig {
  const pod = config.pods.find((entry) => entry.name === podName);
  const knownSince = pod?.usageSince === undefined ? null : Date.parse(pod.usageSince);
  const sources = (pod?.sources ?? []).map((source) => ({
    ...source,
    allowance: [...rowsOfSpool(source.allowance, spoolCreatedAt, knownSince)],
  }));
  const held = config.domains.filter((domain) => domain.state === "Held");
  return {
    config,
    podName,
    routeOf: compileRoutes(config.routes),
    queueClasses: queueClasses(config.queue),
    sources,
    held: new Map(
      held.map(({ domain, reason }) => [domain, { reason, since: before?.held.get(domain)?.since ?? now }]),
    ),
    pausedSince: config.paused ? (before?.pausedSince ?? now) : null,
    sourcePausedSince: new Map(
      sources
        .filter((source) => source.state === "Paused")
        .map(({ name }) => [name, before?.sourcePausedSince.get(name) ?? now]),
    ),
    appliedAt: now,
  };
}

/** The sources a route may use. */
export function sourcesOf(compiled: CompiledConfig, route: Route): readonly EgressSource[] {
  if (route.to.pool !== null) {
    const { pool } = route.to;
    return compiled.sources.filter((source) => source.pool === pool);
  }
  return [
    {
      name: SYSTEM_SOURCE,
      pool: SYSTEM_SOURCE,
      address: null,
      ehloName: compiled.config.relay.hostname,
      state: "Active",
      stateReason: "",
      allowance: [],
    },
  ];
}

/** The class of a message under this configuration. */
export function queueClassOf(
  { queueClasses: classes }: CompiledConfig,
  message: Pick<QueuedMessage, "queueClass">,
): QueueClass {
  return classOf(classes, message.queueClass);
}

/** Whether what is ready under `before` may stay where it is under `after`. */
export function sameRouting(before: CompiledConfig, after: CompiledConfig): boolean {
  const facts = ({ config }: CompiledConfig) =>
    JSON.stringify([config.routes, config.dns, config.delivery, config.queue.classes]);
  return facts(before) === facts(after) && [...after.held.keys()].every((domain) => before.held.has(domain));
}
