/** SmtpRelay: World and plan → status. Writes nothing new while nothing changes. */
import type { SmtpRelayStatus } from "../../crds/smtpRelay.ts";
import { connectionSettings, readCredentials } from "../plan/credentials.ts";
import { podSelectorText } from "../plan/labels.ts";
import type { RelayPlan, RelayWorld } from "../world.ts";
import { aggregateReports } from "./aggregateReports.ts";
import { queueFinding } from "./queueHealth.ts";
import {
  configFinding,
  drainingFinding,
  pausedFinding,
  readyFinding,
  reconcilingFinding,
  type RelayView,
} from "./relayConditions.ts";
import { relayFigures } from "./relayFigures.ts";
import { type Finding, setConditions, stalledFinding } from "./setCondition.ts";

/** Bound of the list in the API. */
const MOST_PODS = 100;

export function relayStatus(world: RelayWorld, plan: RelayPlan): SmtpRelayStatus {
  const { relay } = world;
  const aggregate = aggregateReports(world.pods);
  const before = relay.status?.conditions?.find(({ type }) => type === "QueueHealthy");
  const queue = queueFinding(aggregate, relay.spec.paused);
  const sameQueue = before?.status === queue.status && before.reason === queue.reason;
  const figures = relayFigures(world, aggregate, sameQueue && before.message !== queue.message);
  const view: RelayView = { world, plan, aggregate, figures };
  const config = configFinding(view);
  // Its text has numbers of its own, which move with the other figures.
  const calmQueue = sameQueue && !figures.textsMayMove ? { ...queue, message: before.message } : queue;
  const findings: Finding<"SmtpRelay">[] = [
    readyFinding(view),
    reconcilingFinding(view, config),
    stalled(plan, config),
    config,
    calmQueue,
    pausedFinding(view),
    drainingFinding(view),
  ];
  const revision = (plan.config ?? world.publishedConfig)?.revision;
  const ready = world.pods.filter((pod) => pod.ready).length;
  return {
    observedGeneration: relay.metadata.generation,
    conditions: setConditions(relay.status?.conditions, findings, relay.metadata.generation, world.now),
    replicas: world.pods.length,
    readyReplicas: ready,
    ready: `${ready}/${relay.spec.replicas}`,
    selector: podSelectorText(relay.metadata.name),
    ...(revision === undefined ? {} : { configRevision: revision }),
    ...(figures.queue === undefined ? {} : { queue: figures.queue }),
    ...(figures.figuresAt === undefined ? {} : { figuresAt: figures.figuresAt }),
    ...credentialsOf(world),
    pods: podsOf(view),
  };
}

/** A pod that refuses the current configuration needs a person as much as a blocking problem does. */
function stalled(plan: RelayPlan, config: Finding<"SmtpRelay">): Finding<"SmtpRelay"> {
  const finding = stalledFinding<"SmtpRelay">(plan.problems);
  return finding.status === "False" && config.reason === "ConfigRefused"
    ? { type: "Stalled", status: "True", reason: "ConfigRefused", message: config.message }
    : finding;
}

function credentialsOf(world: RelayWorld): Pick<SmtpRelayStatus, "settings" | "credentials"> {
  const credentials = readCredentials(world);
  const secretName = credentials[0]?.secretName;
  return {
    ...(secretName === undefined
      ? {}
      : { settings: { ...connectionSettings(world.relay, world.environment), secretName } }),
    credentials: credentials.map(({ spec, state, secretName: secret }) => ({
      name: spec.name,
      secretName: secret,
      state,
    })),
  };
}

function podsOf({ world, plan, aggregate, figures }: RelayView): NonNullable<SmtpRelayStatus["pods"]> {
  const config = plan.config ?? world.publishedConfig;
  const before = new Map(world.relay.status?.pods?.map((pod) => [pod.name, pod]));
  return world.pods.slice(0, MOST_PODS).map((pod) => {
    const queued = figures.queued.get(pod.name);
    const applied = aggregate.reports.get(pod.name)?.appliedRevision ?? before.get(pod.name)?.appliedRevision;
    const sources = config?.pods.find(({ name }) => name === pod.name)?.sources ?? [];
    return {
      name: pod.name,
      ready: pod.ready,
      ...(queued === undefined ? {} : { queued }),
      ...(applied === undefined ? {} : { appliedRevision: applied }),
      addresses: sources.map(({ name }) => name),
    };
  });
}
