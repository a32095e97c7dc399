/**
 * What the pods of the world say about one address: holdings for the ledger, use by day, results by
 * provider. The only place that knows how reports name a source.
 */
import type { SmtpRelay } from "../../crds/kinds.ts";
import type { PodView, PoolWorld } from "../world.ts";
import type { Counter, RelayReport } from "../../relay/contract/report.ts";
import { podKey, podOrdinal, relayNames, sourceName } from "../plan/names.ts";
import { utcDay } from "./days.ts";
import { capOn, type DayCap, permilleOf, permilleOfRows } from "./rows.ts";
import type { PodHolding, Share } from "./shares.ts";

type RelayView = PoolWorld["relays"][number];

/** A pod with the relay it belongs to. */
interface SeenPod {
  readonly key: string;
  readonly view: PodView;
  readonly relay: RelayView;
}

function seenPods(world: PoolWorld): readonly SeenPod[] {
  return world.relays.flatMap((relay) =>
    relay.pods.map((view) => ({ key: podKey(relay.relay.metadata.namespace, view.name), view, relay })),
  );
}

/** Reports by ledger key, of the pods that answered. */
export function reportsByPod(world: PoolWorld): ReadonlyMap<string, RelayReport> {
  const reports = new Map<string, RelayReport>();
  for (const { key, view } of seenPods(world)) {
    if (view.answer.kind === "report") reports.set(key, view.answer.report);
  }
  return reports;
}

export interface HoldingsOf {
  readonly address: string;
  /** Part each pod should have. */
  readonly wanted: ReadonlyMap<string, number>;
  readonly caps: readonly DayCap[];
  readonly ledger: readonly Share[];
}

/**
 * One holding for every pod that exists, is wanted, stands in a published configuration, or stands in the
 * ledger and belongs to a relay in view. A pod of the ledger without one has lost its relay.
 */
export function podHoldings(
  world: PoolWorld,
  { address, wanted, caps, ledger }: HoldingsOf,
): readonly PodHolding[] {
  const today = utcDay(world.now);
  const source = sourceName(world.pool.metadata.name, address);
  const holdings = new Map<string, PodHolding>();
  const nobody = { published: 0, confirmed: false, exists: false, usedPermille: null, spoolSince: null };
  for (const [pod, part] of wanted) holdings.set(pod, { ...nobody, pod, wanted: part });
  const update = (pod: string, known: Partial<PodHolding>) =>
    holdings.set(pod, { ...nobody, pod, wanted: 0, ...holdings.get(pod), ...known });
  for (const { pod } of ledger) if (world.relays.some(({ relay }) => isPodOf(relay, pod))) update(pod, {});
  for (const { relay, publishedConfig } of world.relays) {
    for (const pod of publishedConfig?.pods ?? []) {
      const rows = pod.sources.find(({ name }) => name === source)?.allowance;
      update(podKey(relay.metadata.namespace, pod.name), {
        published: rows === undefined ? 0 : permilleOfRows(rows, caps, today),
      });
    }
  }
  for (const { key, view, relay } of seenPods(world)) {
    const report = view.answer.kind === "report" ? view.answer.report : null;
    const revision = relay.publishedConfig?.revision;
    update(key, {
      exists: true,
      confirmed: report !== null && revision !== undefined && report.appliedRevision === revision,
      usedPermille: report === null ? null : usedPermille(report, source, caps, today),
      spoolSince: report?.usageSince ?? null,
    });
  }
  return [...holdings.values()];
}

function isPodOf({ metadata }: SmtpRelay, key: string): boolean {
  const [namespace, name = ""] = key.split("/");
  return namespace === metadata.namespace && podOrdinal(relayNames(metadata.name).statefulSet, name) !== null;
}

/** Null when the report is of a day before today: it knows nothing of today's use. */
function usedPermille(
  report: RelayReport,
  source: string,
  caps: readonly DayCap[],
  today: string,
): number | null {
  if (report.at.slice(0, 10) < today) return null;
  let most = 0;
  for (const { source: of, day, provider, used } of report.usage) {
    if (of !== source || day < today) continue;
    const cap = capOn(caps, day);
    const limit = provider === "total" ? cap?.total : cap?.providers[provider];
    if (limit !== undefined) most = Math.max(most, permilleOf(used, limit));
  }
  return most;
}

/** Recipients one pod used of an address on a day, by provider and in `total`; empty when it used none. */
export function usedByPod(report: RelayReport, source: string, day: string): Record<string, number> {
  return Object.fromEntries(
    report.usage
      .filter((one) => one.source === source && one.day === day && one.used > 0)
      .map(({ provider, used }) => [provider, used] as const)
      .sort(([a], [b]) => (a < b ? -1 : 1)),
  );
}

/** The counters of an address from the day `since` on, over all pods that answered. */
export function countersOf(world: PoolWorld, address: string, since: string): readonly Counter[] {
  const source = sourceName(world.pool.metadata.name, address);
  return [...reportsByPod(world).values()].flatMap((report) =>
    report.counters.filter((counter) => counter.source === source && counter.day >= since),
  );
}
