/** The words of `smtp-relay-operator run`, read into options; pure. */
import type { LogLevel } from "../../relay/kit/log.ts";
import { readOptions } from "../../relay/kit/options.ts";

export interface RunOptions {
  /** Null: all of them. */
  readonly namespaces: readonly string[] | null;
  readonly leaderElect: boolean;
  /** Null: the pod's own namespace. */
  readonly leaseNamespace: string | null;
  readonly leaseName: string;
  readonly metricsPort: number;
  /** Image of relay pods. */
  readonly relayImage: string;
  readonly deliveryPort: number;
  /** Null: in-cluster where there is one, else the user's kubeconfig. */
  readonly kubeconfig: string | null;
  readonly context: string | null;
  readonly logLevel: LogLevel;
}

export type RunCommand =
  | { readonly kind: "run"; readonly options: RunOptions }
  | { readonly kind: "help"; readonly text: string }
  /** Not understood: what, and what to do. */
  | { readonly kind: "refused"; readonly text: string };

const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];
export const DEFAULT_METRICS_PORT = 8080;
export const DEFAULT_LEASE = "smtp-relay-operator";
const SMTP_PORT = 25;
const MOST_NAMESPACES = 100;

export const runUsage = `usage: smtp-relay-operator run --relay-image IMAGE [options]

Runs the controllers against the Kubernetes cluster this pod is in, or the one a kubeconfig names. The
definitions (CRDs) must be installed. SIGTERM stops in order and frees the lease.

      --relay-image IMAGE    image of relay pods
  -n, --namespace NAME       serve this namespace only (repeatable; default: all)
      --leader-elect         run only while holding a Lease, so that replicas can stand by
      --lease-name NAME      default ${DEFAULT_LEASE}
      --lease-namespace NAME default: the namespace of this pod
      --metrics-port N       /healthz, /readyz and /metrics (default ${DEFAULT_METRICS_PORT}; 0: any free port)
      --delivery-port N      port of receiving hosts (default ${SMTP_PORT}); another one only makes sense in tests
      --kubeconfig FILE      default: the pod's ServiceAccount, else KUBECONFIG or ~/.kube/config
      --context NAME         of the kubeconfig (default: its current one)
      --log-level LEVEL      ${levels.join(", ")} (default info)
  -h, --help                 this text
`;

/** `words`: what stands after "run". */
export function readRunCommand(words: readonly string[]): RunCommand {
  const parsed = readOptions({
    args: [...words],
    strict: true,
    options: {
      "relay-image": { type: "string" },
      namespace: { type: "string", short: "n", multiple: true },
      "leader-elect": { type: "boolean" },
      "lease-name": { type: "string" },
      "lease-namespace": { type: "string" },
      "metrics-port": { type: "string" },
      "delivery-port": { type: "string" },
      kubeconfig: { type: "string" },
      context: { type: "string" },
      "log-level": { type: "string" },
      help: { type: "boolean", short: "h" },
    },
  });
  if ("fault" in parsed) return refused(parsed.fault);
  const { values } = parsed;
  if (values.help === true) return { kind: "help", text: runUsage };
  const relayImage = values["relay-image"];
  if (relayImage === undefined || relayImage === "")
    return refused("the image of relay pods is missing: --relay-image");
  const namespaces = [...new Set(values.namespace ?? [])];
  const bad = [...namespaces, values["lease-namespace"], values["lease-name"]].find(
    (name) => name !== undefined && !isLabel(name),
  );
  if (bad !== undefined) return refused(`${JSON.stringify(bad)} is not a name of Kubernetes`);
  if (namespaces.length > MOST_NAMESPACES)
    return refused(`${namespaces.length} namespaces: at most ${MOST_NAMESPACES}, or all by naming none`);
  const metricsPort = readPort(values["metrics-port"] ?? String(DEFAULT_METRICS_PORT), 0);
  if (metricsPort === null)
    return refused(`--metrics-port ${values["metrics-port"]}: must be a port from 0 to 65535`);
  const deliveryPort = readPort(values["delivery-port"] ?? String(SMTP_PORT), 1);
  if (deliveryPort === null)
    return refused(`--delivery-port ${values["delivery-port"]}: must be a port from 1 to 65535`);
  const logLevel = levels.find((level) => level === (values["log-level"] ?? "info"));
  if (logLevel === undefined)
    return refused(`--log-level ${values["log-level"]}: must be one of ${levels.join(", ")}`);
  return {
    kind: "run",
    options: {
      namespaces: namespaces.length === 0 ? null : namespaces,
      leaderElect: values["leader-elect"] ?? false,
      leaseNamespace: values["lease-namespace"] ?? null,
      leaseName: values["lease-name"] ?? DEFAULT_LEASE,
      metricsPort,
      relayImage,
      deliveryPort,
      kubeconfig: values.kubeconfig ?? null,
      context: values.context ?? null,
      logLevel,
    },
  };
}

function isLabel(name: string): boolean {
  return name.length <= 63 && /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/.test(name);
}

function readPort(word: string, least: number): number | null {
  const port = /^\d{1,5}$/.test(word) ? Number(word) : -1;
  return port >= least && port <= 65_535 ? port : null;
}

function refused(text: string): RunCommand {
  return { kind: "refused", text: `${text}\nSee smtp-relay-operator run --help.` };
}
