/**
 * Series of the operator in a cluster. Where controller-runtime has a name for a thing it is used, so that
 * dashboards made for other operators show this one; ours begin with smtp_relay_operator.
 */
import { collectDefaultMetrics, type Registry } from "prom-client";

import { reasons } from "../../../crds/conditions.ts";
import { kinds as kindsOfOurs } from "../../../crds/group.ts";
import type { Clock } from "../../../relay/kit/clock.ts";
import { MetricBook } from "../../../relay/kit/metrics.ts";
import type { ReconcileObserver } from "../../reconcile/observer.ts";
import type { Trouble } from "../../reconcile/troubles.ts";
import type { Follows, FollowOutcome } from "./observedClient.ts";
import type { ApiCall } from "./transport.ts";

/** Read at each scrape. */
export interface OperatorGauges {
  readonly depths: () => ReadonlyMap<string, number>;
  readonly cached: () => ReadonlyMap<string, number>;
  readonly troubles: () => readonly Trouble[];
  readonly watchAges: () => readonly (Follows & { readonly seconds: number })[];
  readonly leading: () => boolean;
}

export interface OperatorMetrics extends ReconcileObserver {
  readonly book: MetricBook;
  called(call: ApiCall): void;
  listed(what: Follows, outcome: FollowOutcome): void;
  watched(what: Follows, outcome: FollowOutcome): void;
}

const controllers = ["smtprelay", "sendingdomain", "ippool"] as const;
const results = ["success", "requeue_after", "error"] as const;
const kinds = { of: "Kinds of Kubernetes the operator follows", atMost: 20 } as const;
const codes = { of: "HTTP status, 0 where none came", atMost: 30 } as const;
const outcomes = ["succeeded", "failed"] as const;
const methods = ["GET", "PATCH", "DELETE"] as const;

/** controller-runtime's, shortened: dashboards aggregate them. */
const workBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const waitBuckets = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 60, 300];
/** Namespaces told apart in one series; those beyond it are "other". */
const MOST_NAMESPACES = 500;
/** Keys whose waiting time is measured at a time; those beyond it are not. */
const MOST_MEASURED = 50_000;

export function createOperatorMetrics(
  registry: Registry,
  clock: Clock,
  gauges: OperatorGauges,
): OperatorMetrics {
  // Event-loop lag, garbage collection, memory: nodejs_* and process_*.
  collectDefaultMetrics({ register: registry });
  const book = new MetricBook(registry);
  const reconciles = book.counter({
    name: "controller_runtime_reconcile_total",
    help: "Reconciles that ended, by how.",
    doc: "error: tried again with backoff. requeue_after: looked at again at a set time, as probes and reports need it.",
    labels: { controller: controllers, result: results },
  });
  const errors = book.counter({
    name: "controller_runtime_reconcile_errors_total",
    help: "Reconciles that ended with an error.",
    doc: "A steady rate means that an object cannot be brought to what it asks: the log names it.",
    labels: { controller: controllers },
  });
  const reconcileTime = book.histogram({
    name: "controller_runtime_reconcile_time_seconds",
    help: "How long a reconcile took.",
    doc: "Includes asking relays and DNS, which have deadlines of a few seconds.",
    labels: { controller: controllers },
    buckets: workBuckets,
  });
  const workers = book.gauge({
    name: "controller_runtime_active_workers",
    help: "Reconciles under way.",
    doc: "At its maximum for long: the operator is too slow for its objects.",
    labels: { controller: controllers },
  });
  const adds = book.counter({
    name: "workqueue_adds_total",
    help: "Keys asked for by watches.",
    doc: "Many more than reconciles: changes come in bursts and are worked on once.",
    labels: { name: controllers },
  });
  const waits = book.histogram({
    name: "workqueue_queue_duration_seconds",
    help: "How long a key asked for by a watch waited for its reconcile.",
    doc: "What a person who edits an object waits before anything happens.",
    labels: { name: controllers },
    buckets: waitBuckets,
  });
  const depth = book.gauge(
    {
      name: "workqueue_depth",
      help: "Keys that wait for a worker.",
      doc: "Falls to 0 between bursts. Growing: more changes than the operator can follow.",
      labels: { name: controllers },
    },
    () => {
      for (const name of controllers) depth.set({ name }, gauges.depths().get(name) ?? 0);
    },
  );
  const cached = book.gauge(
    {
      name: "smtp_relay_operator_cached_objects",
      help: "Objects held in memory, by kind.",
      doc: "What the operator's memory goes with.",
      labels: { kind: kinds },
    },
    () => {
      cached.clear();
      for (const [kind, count] of gauges.cached()) cached.set({ kind }, count);
    },
  );
  const troubles = book.gauge(
    {
      name: "smtp_relay_operator_troubled_objects",
      help: "Objects that are not ready or wait for a person, by kind, namespace and reason; absent where there are none.",
      doc: "`NotReady`: Ready is not True; a domain whose records are not published yet is one. `Stalled`: it will not go on until a person changes something: alert on these. Told by the replica that leads.",
      labels: {
        kind: Object.keys(kindsOfOurs),
        object_namespace: { of: "namespaces with such an object", atMost: MOST_NAMESPACES },
        condition: ["NotReady", "Stalled"],
        reason: Object.keys(reasons),
      },
    },
    () => {
      troubles.clear();
      for (const { kind, namespace, condition, reason, objects } of gauges.troubles())
        troubles.set({ kind, object_namespace: namespace, condition, reason }, objects);
    },
  );
  const ages = book.gauge(
    {
      name: "smtp_relay_operator_watch_age_seconds",
      help: "Time since a kind last gave a sign of life: a list, an event or a bookmark.",
      doc: "Bookmarks come once a minute. Above 300 the operator works on old news and is not ready.",
      labels: { kind: kinds },
    },
    () => {
      ages.clear();
      const oldest = new Map<string, number>();
      for (const { kind, seconds } of gauges.watchAges()) {
        oldest.set(kind, Math.max(seconds, oldest.get(kind) ?? 0));
      }
      for (const [kind, seconds] of oldest) ages.set({ kind }, seconds);
    },
  );
  const leading = book.gauge(
    {
      name: "leader_election_master_status",
      help: "1 for the replica that leads, 0 for those that wait.",
      doc: "The sum over replicas is 1, but for seconds after a leader was lost.",
      labels: { name: ["smtp-relay-operator"] },
    },
    () => {
      leading.set({ name: "smtp-relay-operator" }, gauges.leading() ? 1 : 0);
    },
  );
  const requests = book.counter({
    name: "rest_client_requests_total",
    help: "Attempts of calls to the API server, by method and HTTP status.",
    doc: "PATCH at steady state should be 0. 429: the server asks for patience, which it gets.",
    labels: { method: methods, code: codes },
  });
  const retries = book.counter({
    name: "rest_client_request_retries_total",
    help: "Attempts that were followed by another one of the same call.",
    doc: "Some after a restart of the API server; a steady rate means that it, or the way to it, is in trouble.",
    labels: { method: methods, code: codes },
  });
  const latency = book.histogram({
    name: "rest_client_request_duration_seconds",
    help: "How long an attempt took; of watches, until they opened.",
    doc: "Lists of thousands of objects take longest.",
    labels: { method: methods },
    buckets: workBuckets,
  });
  const lists = book.counter({
    name: "smtp_relay_operator_lists_total",
    help: "Pages listed, by kind and outcome.",
    doc: "Grows after the start only when watches had to begin anew.",
    labels: { kind: kinds, outcome: outcomes },
  });
  const watches = book.counter({
    name: "smtp_relay_operator_watches_total",
    help: "Watches that ended, by kind and outcome.",
    doc: "Each ends well every five to ten minutes; failed ones are opened again with backoff.",
    labels: { kind: kinds, outcome: outcomes },
  });

  const waiting = new Map<string, number>();
  const running = new Map<string, number>();
  const active = new Map<string, number>();
  const count = (controller: string, change: number) => {
    const now = (active.get(controller) ?? 0) + change;
    active.set(controller, now);
    workers.set({ controller }, now);
  };
  return {
    book,
    added(controller, key) {
      adds.add({ name: controller });
      const id = `${controller}/${key}`;
      if (!waiting.has(id) && waiting.size < MOST_MEASURED) waiting.set(id, clock.now());
    },
    started(controller, key) {
      const id = `${controller}/${key}`;
      const since = waiting.get(id);
      waiting.delete(id);
      if (since !== undefined) waits.observe({ name: controller }, secondsSince(since));
      running.set(id, clock.now());
      count(controller, 1);
    },
    finished(controller, key, result) {
      const id = `${controller}/${key}`;
      const since = running.get(id);
      running.delete(id);
      if (since !== undefined) reconcileTime.observe({ controller }, secondsSince(since));
      reconciles.add({ controller, result });
      if (result === "error") errors.add({ controller });
      count(controller, -1);
    },
    called({ method, code, seconds, retried }) {
      requests.add({ method, code: String(code) });
      if (retried) retries.add({ method, code: String(code) });
      latency.observe({ method }, seconds);
    },
    listed: ({ kind }, outcome) => lists.add({ kind, outcome }),
    watched: ({ kind }, outcome) => watches.add({ kind, outcome }),
  };

  /** A clock set back gives 0. */
  function secondsSince(instant: number): number {
    return Math.max(0, clock.now() - instant) / 1000;
  }
}
