/**
 * The ports of this machine at which clients reach the relays, as kube-proxy opens those of a Service.
 *
 * A port is opened when its SmtpRelay is read, before anything is planned, so that the connection
 * settings handed to applications name the port that is really open. Ports below 1024 are opened a
 * thousand higher; a port that is taken is passed over for the next free one, and that is said.
 */
import { containerPort } from "../../relay/contract/endpoints.ts";
import type { KubeObject } from "../adapters/kubeClient.ts";
import type { Notes } from "./notes.ts";
import { type Endpoint, type PortForward, startPortForward } from "./portForward.ts";
import { PORT_SHIFT_ANNOTATION } from "./podObject.ts";

const HOST = "127.0.0.1";
/** How far to look for a free port. */
const TRIES = 200;

/** A listener of a relay that clients must reach. */
export interface WantedPort {
  readonly namespace: string;
  readonly relay: string;
  readonly port: number;
}

export interface OpenPort extends WantedPort {
  /** Where clients reach it. */
  readonly localPort: number;
  /** Where it would have been, had that not been taken. */
  readonly plannedPort: number;
}

interface Forwarded extends OpenPort {
  readonly forward: PortForward;
}

export class ServicePorts {
  readonly #notes: Notes;
  readonly #endpoints: (wanted: WantedPort) => readonly Endpoint[];
  readonly #open = new Map<string, Forwarded>();

  constructor(options: { notes: Notes; endpoints: (wanted: WantedPort) => readonly Endpoint[] }) {
    this.#notes = options.notes;
    this.#endpoints = options.endpoints;
  }

  get open(): readonly OpenPort[] {
    return [...this.#open.values()];
  }

  /** Opens what is wanted and not open; rejects when nothing near a port is free. */
  async want(wanted: readonly WantedPort[]): Promise<void> {
    for (const one of wanted) {
      const key = keyOf(one);
      if (this.#open.has(key)) continue;
      const plannedPort = containerPort(one.port);
      const candidates = new Set<number>();
      const noted = this.#notes.ports[key];
      if (noted !== undefined) candidates.add(noted);
      for (let port = plannedPort; port < plannedPort + TRIES && port <= 65_535; port++) candidates.add(port);
      const forward = await startPortForward({
        host: HOST,
        ports: candidates,
        endpoints: () => this.#endpoints(one),
      });
      this.#open.set(key, { ...one, localPort: forward.port, plannedPort, forward });
      this.#notes.notePort(key, forward.port);
    }
  }

  /** Closes what is open and no longer wanted; what is connected there is ended. */
  closeAllBut(wanted: readonly WantedPort[]): void {
    const kept = new Set(wanted.map(keyOf));
    for (const [key, { forward }] of this.#open) {
      if (kept.has(key)) continue;
      forward.destroy();
      this.#open.delete(key);
    }
  }

  async stopAccepting(): Promise<void> {
    // A forward with open connections closes when they do; nobody waits for that here.
    for (const { forward } of this.#open.values()) void forward.stopAccepting();
  }

  destroy(): void {
    for (const { forward } of this.#open.values()) forward.destroy();
  }
}

/** Where a connection to the relay's port may go now: its Service's ready pods. Pure. */
export function readyEndpoints(
  wanted: WantedPort,
  services: readonly KubeObject[],
  pods: readonly KubeObject[],
): Endpoint[] {
  for (const service of services) {
    const spec = (service["spec"] ?? {}) as {
      clusterIP?: string;
      selector?: Record<string, string>;
      ports?: { port: number; targetPort?: number | string }[];
    };
    const owner = service.metadata.ownerReferences?.find((reference) => reference.controller === true);
    const entry = spec.ports?.find(({ port }) => port === wanted.port);
    if (service.metadata.namespace !== wanted.namespace || owner?.kind !== "SmtpRelay") continue;
    if (owner.name !== wanted.relay || spec.clusterIP === "None" || entry === undefined) continue;
    const selector = Object.entries(spec.selector ?? {});
    if (selector.length === 0) continue;
    return pods
      .filter(
        (pod) =>
          pod.metadata.namespace === wanted.namespace &&
          pod.metadata.deletionTimestamp === undefined &&
          selector.every(([key, value]) => pod.metadata.labels?.[key] === value),
      )
      .toSorted((a, b) => a.metadata.name.localeCompare(b.metadata.name))
      .flatMap((pod) => endpointOf(pod, entry.targetPort ?? entry.port));
  }
  return [];
}

function endpointOf(pod: KubeObject, targetPort: number | string): Endpoint[] {
  const status = (pod["status"] ?? {}) as { podIP?: string; conditions?: { type: string; status: string }[] };
  const ready = status.conditions?.some(({ type, status }) => type === "Ready" && status === "True") ?? false;
  const spec = (pod["spec"] ?? {}) as {
    containers?: { ports?: { name?: string; containerPort: number }[] }[];
  };
  const port =
    typeof targetPort === "number"
      ? targetPort
      : spec.containers?.flatMap(({ ports }) => ports ?? []).find(({ name }) => name === targetPort)
          ?.containerPort;
  if (!ready || status.podIP === undefined || port === undefined) return [];
  const shift = Number(pod.metadata.annotations?.[PORT_SHIFT_ANNOTATION] ?? 0);
  return [{ host: status.podIP, port: port + shift }];
}

function keyOf({ namespace, relay, port }: WantedPort): string {
  return `${namespace}/${relay}:${port}`;
}
