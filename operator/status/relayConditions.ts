/** The conditions of an SmtpRelay: what is true of it now, in sentences with number, limit and rule. */
import type { Reason } from "../../crds/conditions.ts";
import { replicasOf } from "../plan/replicas.ts";
import type { PodView, RelayPlan, RelayWorld } from "../world.ts";
import type { Aggregate } from "./aggregateReports.ts";
import { ageText, countText, plural } from "./figures.ts";
import type { RelayFigures } from "./relayFigures.ts";
import { type Finding, listOf, sentences } from "./setCondition.ts";

export interface RelayView {
  readonly world: RelayWorld;
  readonly plan: RelayPlan;
  readonly aggregate: Aggregate;
  readonly figures: RelayFigures;
}

type RelayFinding = Finding<"SmtpRelay">;

export function readyFinding(view: RelayView): RelayFinding {
  const { world, plan } = view;
  const ready = (status: RelayFinding["status"], reason: Reason, message: string): RelayFinding => ({
    type: "Ready",
    status,
    reason,
    message,
  });
  const blocking = plan.problems.filter(({ severity }) => severity === "Blocking");
  const config = plan.config ?? world.publishedConfig;
  if (blocking[0] !== undefined) {
    const kept = world.publishedConfig === null ? "" : " What runs keeps its last configuration.";
    return ready("False", blocking[0].reason as Reason, `${sentences(blocking)}${kept}`);
  }
  if (config === null) return ready("False", "Starting", `Made first: ${listOf(needNames(plan))}.`);
  const { replicas } = world.relay.spec;
  if (replicas === 0) {
    return world.pods.length > 0
      ? ready("False", "Draining", `No pod takes mail; ${leaving(view)}`)
      : ready("True", "ScaledToZero", "0 replicas, as asked: no mail is taken.");
  }
  const up = takingPods(view).length;
  if (up === 0) return notUp(view, ready);
  if (view.aggregate.reports.size === 0) {
    return ready(
      "Unknown",
      "ReportsMissing",
      `${plural(up, "pod")} ready, but none answered when asked for a report.`,
    );
  }
  const stuck = whyNothingLeaves(view, config);
  if (stuck !== null) return ready("False", stuck.reason, stuck.message);
  const reason = readyReason(view, config);
  const also = plan.problems.length === 0 ? "" : ` ${sentences(plan.problems)}`;
  return ready("True", reason, `${summary(view, up)}${waitingPods(view, up)}${nobodySends(view)}${also}`);
}

/** A relay without a SendingDomain is in order, but whoever waits for its mail should know that it takes none. */
function nobodySends({ world }: RelayView): string {
  return world.domains.length + (world.unreadDomains ?? []).length > 0
    ? ""
    : " No SendingDomain names this relay, so every sender is refused with 553.";
}

/** "2 of 2 replicas send; 1,204 queued, oldest 38s." */
function summary({ world, figures }: RelayView, up: number): string {
  const { replicas, paused } = world.relay.spec;
  const queued = figures.queue?.messages ?? 0;
  const oldest = figures.queue?.oldestSeconds;
  const age = queued === 0 || oldest === undefined ? "" : `, oldest ${ageText(oldest)}`;
  const one = replicas === 1;
  const verb = paused ? `${one ? "takes" : "take"} mail, delivery is paused` : one ? "sends" : "send";
  return `${up} of ${plural(replicas, "replica")} ${verb}; ${countText(queued)} queued${age}.`;
}

function waitingPods(view: RelayView, up: number): string {
  const { replicas } = view.world.relay.spec;
  return up >= replicas ? "" : ` ${notReadyPods(view)}`;
}

function readyReason({ world, plan }: RelayView, config: NonNullable<RelayPlan["config"]>): Reason {
  const [problem] = plan.problems;
  if (problem !== undefined) return problem.reason as Reason;
  if (config.paused) return "Paused";
  return world.relay.spec.certificate === undefined ? "SelfSigned" : "Sending";
}

/** Pods within spec.replicas that are ready. */
export function takingPods({ world }: Pick<RelayView, "world">): readonly PodView[] {
  const { draining } = replicasOf(world);
  return world.pods.filter((pod) => pod.ready && !draining.includes(pod.name));
}

function notUp(
  view: RelayView,
  ready: (status: RelayFinding["status"], reason: Reason, message: string) => RelayFinding,
): RelayFinding {
  const [spool] = view.aggregate.failedSpools;
  if (spool !== undefined)
    return ready("False", "SpoolFailed", `${spool.pod} cannot write its spool: ${spool.reason}.`);
  const before = view.world.relay.status?.conditions?.find(({ type }) => type === "Ready");
  const isNew = before === undefined || (before.status !== "True" && before.reason === "Starting");
  return ready("False", isNew ? "Starting" : "PodsNotReady", notReadyPods(view));
}

/** "0 of 2 pods are ready; mail-0: no configuration yet." */
function notReadyPods({ world }: Pick<RelayView, "world">): string {
  const { replicas } = world.relay.spec;
  const reasons = world.pods.flatMap((pod) => {
    if (pod.ready) return [];
    if (pod.answer.kind === "silent") return [`${pod.name} does not answer`];
    const { notReadyReason } = pod.answer.report;
    return [`${pod.name}: ${notReadyReason === "" ? "not ready" : notReadyReason}`];
  });
  const text = `${takingPods({ world }).length} of ${plural(replicas, "pod")} ready`;
  return reasons.length === 0 ? `${text}.` : `${text}; ${listOf(reasons, 3)}.`;
}

/** Mail is taken, but none can leave: no source may send, and no route goes elsewhere. */
function whyNothingLeaves(
  { world }: RelayView,
  config: NonNullable<RelayPlan["config"]>,
): { readonly reason: Reason; readonly message: string } | null {
  if (config.paused || config.routes.some(({ to }) => to.kind === "smarthost")) return null;
  const sources = config.pods.flatMap((pod) => pod.sources);
  if (sources.some(({ state }) => state === "Active")) return null;
  const [first] = sources;
  if (first === undefined) {
    return {
      reason: "NoAddress",
      message: `No address of ${poolsText(world)} belongs to a pod of this relay.`,
    };
  }
  const starting = first.stateReason.startsWith("waits for its part");
  return {
    reason: starting ? "Starting" : "PoolBlocked",
    message: `No address may send: ${first.name} ${first.stateReason === "" ? "is paused" : first.stateReason}.`,
  };
}

function poolsText(world: RelayWorld): string {
  return world.pools.length === 0
    ? "any pool"
    : `IpPool ${listOf(world.pools.map((pool) => pool.metadata.name))}`;
}

function needNames(plan: RelayPlan): readonly string[] {
  return plan.needs.length === 0
    ? ["configuration"]
    : plan.needs.map(({ secretName }) => `Secret ${secretName}`);
}

export function configFinding({ world, plan, aggregate }: RelayView): RelayFinding {
  const type = "ConfigApplied";
  const revision = (plan.config ?? world.publishedConfig)?.revision;
  if (revision === undefined) {
    return { type, status: "Unknown", reason: "ConfigPending", message: "There is no configuration yet." };
  }
  if (world.pods.length === 0) {
    return {
      type,
      status: "Unknown",
      reason: "PodsNotReady",
      message: `No pod to load revision ${revision}.`,
    };
  }
  const entries = [...aggregate.reports];
  const refused = entries.find(([, report]) => report.refusal !== null);
  if (refused !== undefined) {
    const [pod, report] = refused;
    return {
      type,
      status: "False",
      reason: "ConfigRefused",
      message: `${pod} keeps revision ${report.appliedRevision ?? "none"}: ${report.refusal ?? ""}.`,
    };
  }
  const behind = entries.filter(([, report]) => report.appliedRevision !== revision);
  if (behind.length > 0) {
    const pods = behind.map(([pod, report]) => `${pod} runs ${report.appliedRevision ?? "none"}`);
    return {
      type,
      status: "False",
      reason: "ConfigPending",
      message: `Revision ${revision} waits: ${listOf(pods)}.`,
    };
  }
  if (aggregate.silent.length > 0) {
    return {
      type,
      status: "Unknown",
      reason: "ReportsMissing",
      message: `${listOf(aggregate.silent)} did not say which revision it runs.`,
    };
  }
  return {
    type,
    status: "True",
    reason: "AllReplicas",
    message: `Revision ${revision} loaded by ${listOf(entries.map(([pod]) => pod))}.`,
  };
}

export function drainingFinding(view: RelayView): RelayFinding {
  const type = "Draining";
  const { draining } = replicasOf(view.world);
  const there = view.world.pods.filter(({ name }) => draining.includes(name));
  if (there.length === 0) return { type, status: "False", reason: "Running", message: "No pod is leaving." };
  const unknown = there.some(({ answer }) => answer.kind === "silent");
  return {
    type,
    status: unknown ? "Unknown" : "True",
    reason: unknown ? "ReportsMissing" : "Draining",
    message: leaving(view),
  };
}

/** "mail-1 holds 12 messages; waits." */
function leaving({ world, figures }: RelayView): string {
  const { draining } = replicasOf(world);
  const held = world.pods
    .filter(({ name }) => draining.includes(name))
    .map(({ name, answer }) =>
      answer.kind === "silent"
        ? `${name} did not say what it holds`
        : `${name} holds ${plural(figures.queued.get(name) ?? answer.report.queue.messages, "message")}`,
    );
  return `${listOf(held)}; ${held.length === 1 ? "waits" : "they wait"} until empty.`;
}

export function pausedFinding({ world }: RelayView): RelayFinding {
  return world.relay.spec.paused
    ? {
        type: "Paused",
        status: "True",
        reason: "Paused",
        message: "Mail is taken and kept; nothing is delivered.",
      }
    : { type: "Paused", status: "False", reason: "Running", message: "Delivery runs." };
}

export function reconcilingFinding(view: RelayView, config: RelayFinding): RelayFinding {
  const { world, plan, aggregate } = view;
  const under = (reason: Reason, message: string): RelayFinding => ({
    type: "Reconciling",
    status: "True",
    reason,
    message,
  });
  if (plan.needs.length > 0) return under("InProgress", `Being made: ${listOf(needNames(plan))}.`);
  const { draining } = replicasOf(world);
  if (draining.length > 0) return under("Draining", leaving(view));
  if (plan.problems.some(({ severity }) => severity === "Blocking")) {
    // kstatus looks at Reconciling before Stalled: what waits for a person is not under way.
    return {
      type: "Reconciling",
      status: "False",
      reason: "Settled",
      message: "Nothing is under way; see Stalled.",
    };
  }
  const { replicas } = world.relay.spec;
  if (takingPods(view).length < replicas) return under("PodsNotReady", notReadyPods(view));
  const silent = aggregate.silent.length > 0;
  if (replicas > 0 && !silent && config.status !== "True" && config.reason !== "ConfigRefused") {
    return under("ConfigPending", config.message);
  }
  return {
    type: "Reconciling",
    status: "False",
    reason: "Settled",
    message: "Everything the spec asks for is in place.",
  };
}
