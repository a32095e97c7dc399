/**
 * Relay pods that do not exist: plays StatefulSet controller, kubelet and relay over a cluster, so that
 * operator stories need no processes. A second after a change it makes and removes pods, lets them load the
 * published configuration after a mount's delay, and answers for them when asked for a report. While nothing
 * changes it does nothing, so that stories of days are cheap.
 *
 *   fleet.hold("mail-1", 7)      seven messages wait in mail-1, and stay
 *   fleet.release("mail-1")      they are delivered
 *   fleet.silence("mail-0")      it does not answer any more
 *   fleet.has("mail-0", ["192.0.2.10"])   its interfaces; until it is said, it is a relay that does not tell
 */
import type {
  ApplyObject,
  KubeClient,
  KubeObject,
  ResourceType,
} from "../../operator/adapters/kubeClient.ts";
import type { ReportSource, ReportTarget } from "../../operator/adapters/relayReports.ts";
import { relayNames } from "../../operator/plan/names.ts";
import { resources } from "../../operator/resources.ts";
import type { PodAnswer } from "../../operator/world.ts";
import { configFiles } from "../../relay/contract/endpoints.ts";
import { type RelayConfig, relayConfig } from "../../relay/contract/config.ts";
import type { RelayReport } from "../../relay/contract/report.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import { aReport } from "./builders.ts";

interface FakePod {
  readonly namespace: string;
  readonly name: string;
  readonly relay: string;
  readonly startedAt: number;
  /** What it runs, and since when it could see a newer one. */
  config: RelayConfig | null;
  newSince: number | null;
}

/** Volumes outlive pods: what a pod's spool holds, by NAMESPACE/POD. */
interface Volume {
  readonly createdAt: number;
  messages: number;
  readonly used: Map<string, number>;
}

const manager = "fake-kubelet";

export class FakeFleet implements ReportSource {
  readonly #client: KubeClient;
  readonly #clock: Clock;
  readonly #mountSeconds: number;
  readonly #pods = new Map<string, FakePod>();
  readonly #volumes = new Map<string, Volume>();
  readonly #silent = new Set<string>();
  readonly #addresses = new Map<string, readonly string[]>();
  /** Pods ever ended, with what their spool held then. */
  readonly ended: { readonly pod: string; readonly messages: number }[] = [];
  readonly #stop = new AbortController();
  #cancelTick: (() => void) | null = null;
  #working: Promise<unknown> = Promise.resolve();
  #following: Promise<unknown> = Promise.resolve();

  constructor(options: { client: KubeClient; clock: Clock; mountSeconds?: number }) {
    this.#client = options.client;
    this.#clock = options.clock;
    this.#mountSeconds = options.mountSeconds ?? 2;
  }

  start(): void {
    this.#following = Promise.all(
      [resources.statefulSets, resources.secrets].map((type) => this.#watch(type)),
    );
    this.#soon(1000);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#cancelTick?.();
    await Promise.all([this.#following, this.#working]);
  }

  /** Whatever happened to a kind of object may concern us. */
  async #watch(type: ResourceType): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const { resourceVersion } = await this.#client.list(type);
      this.#soon(1000);
      try {
        for await (const event of this.#client.watch(type, { resourceVersion, signal })) {
          if (event.type !== "BOOKMARK") this.#soon(1000);
        }
      } catch {
        // Expired: what was missed is in the next list.
      }
    }
  }

  #soon(delayMs: number): void {
    if (this.#stop.signal.aborted || this.#cancelTick !== null) return;
    this.#cancelTick = this.#clock.after(delayMs, () => {
      this.#cancelTick = null;
      this.#working = this.#working.then(() => this.#tick());
    });
  }

  hold(pod: string, messages: number, namespace = "default"): void {
    this.#volume(`${namespace}/${pod}`).messages = messages;
  }

  release(pod: string, namespace = "default"): void {
    this.#volume(`${namespace}/${pod}`).messages = 0;
  }

  silence(pod: string, silent = true, namespace = "default"): void {
    if (silent) this.#silent.add(`${namespace}/${pod}`);
    else this.#silent.delete(`${namespace}/${pod}`);
  }

  /** What is on the pod's interfaces; what it should send from and is not among them is missing. */
  has(pod: string, addresses: readonly string[], namespace = "default"): void {
    this.#addresses.set(`${namespace}/${pod}`, addresses);
  }

  /** Recipients a pod sent to today through a source ("POOL/ADDRESS" as the configuration names it). */
  use(pod: string, source: string, recipients: number, namespace = "default"): void {
    this.#volume(`${namespace}/${pod}`).used.set(`${source} ${this.#today()}`, recipients);
  }

  get pods(): string[] {
    return [...this.#pods.keys()].toSorted();
  }

  /** The configuration a pod runs. */
  config(pod: string, namespace = "default"): RelayConfig | null {
    return this.#pods.get(`${namespace}/${pod}`)?.config ?? null;
  }

  async ask(target: ReportTarget): Promise<PodAnswer> {
    const id = `${target.namespace}/${target.name}`;
    const pod = this.#pods.get(id);
    if (pod === undefined || this.#silent.has(id)) return { kind: "silent", reason: "connect ECONNREFUSED" };
    const volume = this.#volume(id);
    const ready = pod.config !== null;
    return {
      kind: "report",
      report: aReport({
        pod: pod.name,
        at: this.#text(this.#clock.now()),
        startedAt: this.#text(pod.startedAt),
        appliedRevision: pod.config?.revision ?? null,
        ready,
        notReadyReason: ready ? "" : "no configuration yet",
        queue: {
          messages: volume.messages,
          recipients: volume.messages,
          oldestSeconds: volume.messages === 0 ? null : 60,
          providers: [],
        },
        loadedKeys: (pod.config?.domains ?? []).flatMap((domain) =>
          domain.dkim.map((key) => `${domain.domain}/${key.selector}`),
        ),
        usage: [...volume.used].map(([entry, used]) => {
          const [source = "", day = ""] = entry.split(" ");
          return { source, day, provider: "total", used, limit: null };
        }),
        usageSince: this.#text(volume.createdAt),
        ...this.#plumbing(id, pod),
      }),
    };
  }

  #plumbing(id: string, pod: FakePod): Partial<RelayReport> {
    const localAddresses = this.#addresses.get(id);
    if (localAddresses === undefined) return {};
    const sources = pod.config?.pods.find(({ name }) => name === pod.name)?.sources ?? [];
    return {
      localAddresses: [...localAddresses],
      missingAddresses: sources.flatMap(({ name: source, address, state }) =>
        address === null || state === "Paused" || localAddresses.includes(address)
          ? []
          : [{ source, reason: "EADDRNOTAVAIL", since: this.#text(this.#clock.now()) }],
      ),
    };
  }

  async #tick(): Promise<void> {
    const sets = await this.#client.list(resources.statefulSets);
    const wanted = new Map<string, { set: KubeObject; ordinal: number }>();
    for (const set of sets.items) {
      const { replicas = 1 } = (set["spec"] ?? {}) as { replicas?: number };
      for (let ordinal = 0; ordinal < replicas; ordinal++) {
        wanted.set(`${set.metadata.namespace ?? ""}/${set.metadata.name}-${ordinal}`, { set, ordinal });
      }
    }
    for (const [id, pod] of this.#pods) if (!wanted.has(id)) await this.#end(id, pod);
    for (const [id, { set }] of wanted) if (!this.#pods.has(id)) await this.#begin(id, set);
    for (const pod of this.#pods.values()) await this.#follow(pod);
    for (const set of sets.items) await this.#report(set);
  }

  async #begin(id: string, set: KubeObject): Promise<void> {
    const [namespace = "", name = ""] = id.split("/");
    const { template } = set["spec"] as { template: { metadata: { labels: Record<string, string> } } };
    await this.#client.apply(
      {
        ...frame(resources.pods, namespace, name),
        metadata: {
          name,
          namespace,
          labels: template.metadata.labels,
          ownerReferences: [
            {
              apiVersion: set.apiVersion,
              kind: set.kind,
              name: set.metadata.name,
              uid: set.metadata.uid ?? "",
              controller: true,
            },
          ],
        },
        spec: {},
      },
      manager,
    );
    this.#volume(id);
    this.#pods.set(id, {
      namespace,
      name,
      relay: set.metadata.name,
      startedAt: this.#clock.now(),
      config: null,
      newSince: null,
    });
  }

  async #end(id: string, pod: FakePod): Promise<void> {
    this.ended.push({ pod: pod.name, messages: this.#volume(id).messages });
    this.#pods.delete(id);
    await this.#client.delete(resources.pods, { namespace: pod.namespace, name: pod.name });
  }

  async #follow(pod: FakePod): Promise<void> {
    const name = relayNames(pod.relay).runtimeSecret;
    const secret = await this.#client.get(resources.secrets, { namespace: pod.namespace, name });
    const encoded = (secret?.["data"] as Record<string, string> | undefined)?.[configFiles.config];
    if (encoded === undefined) return;
    const config = relayConfig.parse(JSON.parse(Buffer.from(encoded, "base64").toString()));
    if (config.revision === pod.config?.revision) return;
    pod.newSince ??= this.#clock.now();
    // A first mount is made before the container starts; later ones follow when the kubelet comes by.
    const waits = pod.config === null ? 0 : this.#mountSeconds * 1000;
    if (this.#clock.now() - pod.newSince < waits) return this.#soon(1000);
    pod.config = config;
    pod.newSince = null;
  }

  async #report(set: KubeObject): Promise<void> {
    const { namespace = "", name } = set.metadata;
    const mine = [...this.#pods.values()].filter((pod) => pod.namespace === namespace && pod.relay === name);
    for (const pod of mine) {
      const status = {
        podIP: `127.1.${hash(pod.relay) % 250}.${Number(pod.name.split("-").at(-1)) + 1}`,
        conditions: [{ type: "Ready", status: pod.config === null ? "False" : "True" }],
      };
      await this.#client.applyStatus({ ...frame(resources.pods, namespace, pod.name), status }, manager);
    }
    const readyReplicas = mine.filter((pod) => pod.config !== null).length;
    const status = { replicas: mine.length, readyReplicas };
    await this.#client.applyStatus({ ...frame(resources.statefulSets, namespace, name), status }, manager);
  }

  #volume(id: string): Volume {
    let volume = this.#volumes.get(id);
    if (volume === undefined) {
      volume = { createdAt: this.#clock.now(), messages: 0, used: new Map() };
      this.#volumes.set(id, volume);
    }
    return volume;
  }

  #today(): string {
    return this.#text(this.#clock.now()).slice(0, 10);
  }

  #text(instant: number): string {
    return new Date(instant).toISOString();
  }
}

function frame(type: ResourceType, namespace: string, name: string): ApplyObject {
  return { apiVersion: type.apiVersion, kind: type.kind, metadata: { namespace, name } };
}

function hash(text: string): number {
  let sum = 0;
  for (const char of text) sum = (sum * 31 + (char.codePointAt(0) ?? 0)) % 65_521;
  return sum;
}
