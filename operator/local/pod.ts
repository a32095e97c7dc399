/**
 * One pod as a process of this machine: a place on loopback, its Secrets mounted by atomic swap, its
 * volumes as folders that outlive it, a container that is probed and restarted, and a Pod object that
 * says all this.
 *
 *   waiting for its Secrets → container (container.ts) → stopped: the object goes, the volumes stay
 */
import { rmSync } from "node:fs";

import { STATUS_PORT, statusPaths } from "../../relay/contract/endpoints.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { KubeClient, KubeObject } from "../adapters/kubeClient.ts";
import { Container, type Launch } from "./container.ts";
import { codeOf, writeFileAtomic } from "./files.ts";
import { probeHttp } from "./httpProbe.ts";
import type { PodPlace } from "./notes.ts";
import type { PodAddresses } from "./podAddresses.ts";
import { type AdaptFile, PodFiles } from "./podFiles.ts";
import { type PodIdentity, podObject, podStatus, releasedPod } from "./podObject.ts";
import { containerEnvironment, containerPorts, httpProbe } from "./podTemplate.ts";
import type { StateFolder } from "./stateFolder.ts";
import { resources } from "../resources.ts";

export interface PodContext {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly state: StateFolder;
  readonly addresses: PodAddresses;
  readonly secret: (namespace: string, name: string) => KubeObject | undefined;
  readonly adaptFile: AdaptFile;
  /** What runs a relay: the interpreter and the program. */
  readonly command: readonly [string, ...string[]];
}

const KUBELET = "local-kubelet";
/** What every process may see of our own environment. */
const inherited = ["PATH", "LANG", "LC_ALL", "TZ", "NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR"];

export class LocalPod {
  readonly identity: PodIdentity;
  readonly #context: PodContext;
  readonly #log: Log;
  readonly #files: PodFiles;
  readonly #container: Container;
  readonly #startedAt: string;
  readonly #onChange: () => void;
  #place: PodPlace | null = null;
  #uid = "";
  #waiting: string | null = "it was not started yet";
  #stopping: Promise<void> | null = null;
  #readySince: string;
  #wasReady = false;
  #publishing: Promise<void> = Promise.resolve();
  #dirty = false;
  #released = false;

  constructor(identity: PodIdentity, context: PodContext, onChange: () => void) {
    this.identity = identity;
    this.#context = context;
    this.#onChange = onChange;
    this.#log = context.log.with({ pod: identity.name });
    this.#files = new PodFiles(context.state, identity, context.adaptFile);
    this.#startedAt = this.#now();
    this.#readySince = this.#startedAt;
    this.#container = new Container({
      launch: () => this.#prepare(),
      clock: context.clock,
      log: this.#log,
      onChange: () => this.#changed(),
      record: (process) => {
        if (process === null) rmSync(this.#files.processNote, { force: true });
        else writeFileAtomic(this.#files.processNote, JSON.stringify(process), { durable: false });
      },
    });
  }

  get ready(): boolean {
    return this.#container.status.ready && this.#stopping === null;
  }
  get stopping(): boolean {
    return this.#stopping !== null;
  }
  get place(): PodPlace | null {
    return this.#place;
  }
  /** Why it is not ready. */
  get reason(): string {
    return this.#waiting ?? this.#container.status.reason;
  }

  start(): void {
    this.secretsChanged();
  }

  /** Mounts what the Secrets hold now; starts the container once all of them are there. */
  secretsChanged(): void {
    if (this.#stopping !== null) return;
    const waiting = this.#mount();
    if (waiting === null && this.#waiting !== null) {
      this.#waiting = null;
      this.#container.start();
    } else if (this.#waiting !== null) this.#waiting = waiting;
    this.#changed();
  }

  /** In order, within the grace of its template. The object goes last. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  /** At once; nothing is tidied. */
  kill(): void {
    this.#container.kill();
  }

  async #stop(): Promise<void> {
    const { client, addresses } = this.#context;
    const { namespace, name, template } = this.identity;
    if (this.#waiting === null) await this.#container.stop(template.spec.terminationGracePeriodSeconds);
    addresses.release(this.#key());
    rmSync(this.#files.adminNote, { force: true });
    this.#released = true;
    await this.#publishing;
    if ((await client.get(resources.pods, { namespace, name })) === null) return;
    await client.apply(releasedPod(this.identity, this.#place?.portShift ?? 0), KUBELET);
    await client.delete(resources.pods, { namespace, name });
  }

  /** Null when everything is mounted; else what is missing. The former files stay in that case. */
  #mount(): string | null {
    const { namespace } = this.identity;
    try {
      const stamp = String(this.#context.clock.now());
      const result = this.#files.mountSecrets((name) => this.#context.secret(namespace, name), stamp);
      return result.kind === "mounted" ? null : result.reason;
    } catch (error) {
      return codeOf(error);
    }
  }

  async #prepare(): Promise<Launch> {
    const { namespace, name, template } = this.identity;
    const ports = [...new Set([...containerPorts(template), STATUS_PORT])];
    const place = await this.#context.addresses.assign(this.#key(), ports);
    this.#place = place;
    this.#changed();
    const environment = containerEnvironment(template, {
      namespace,
      name,
      uid: this.#uid,
      ip: place.ip,
      portShift: place.portShift,
      folders: this.#files.folders(),
      adminSocket: this.#files.adminSocket,
    });
    // A socket file left by a process that was killed keeps the next one from listening.
    rmSync(this.#files.adminSocket, { force: true });
    const note = { pod: name, socket: this.#files.adminSocket };
    writeFileAtomic(this.#files.adminNote, JSON.stringify(note), { durable: false });
    const [command, ...programArguments] = this.#context.command;
    return {
      command,
      arguments: programArguments,
      environment: { ...inheritedEnvironment(), ...environment },
      logFile: this.#files.log,
      ready: () => this.#probe("readinessProbe") ?? probeHttp(this.#target(STATUS_PORT, statusPaths.ready)),
      alive: () => this.#probe("livenessProbe") ?? probeHttp(this.#target(STATUS_PORT, statusPaths.health)),
    };
  }

  #probe(kind: "readinessProbe" | "livenessProbe"): Promise<string | null> | null {
    const probe = httpProbe(this.identity.template, kind);
    return probe === null ? null : probeHttp(this.#target(probe.port, probe.path));
  }

  #target(port: number, path: string): { host: string; port: number; path: string } {
    return { host: this.#place?.ip ?? "127.0.0.1", port: port + (this.#place?.portShift ?? 0), path };
  }

  #changed(): void {
    if (this.#wasReady !== this.#container.status.ready) {
      this.#wasReady = this.#container.status.ready;
      this.#readySince = this.#now();
    }
    this.#onChange();
    if (this.#dirty || this.#released) return;
    this.#dirty = true;
    // One write at a time; changes that come meanwhile share the next one.
    this.#publishing = this.#publishing.then(() => this.#publish());
  }

  async #publish(): Promise<void> {
    this.#dirty = false;
    if (this.#released) return;
    try {
      const { client } = this.#context;
      const object = await client.apply(podObject(this.identity, this.#place?.portShift ?? 0), KUBELET);
      this.#uid = object.metadata.uid ?? "";
      await client.applyStatus(
        podStatus(this.identity, {
          ip: this.#place?.ip ?? null,
          container: this.#container.status,
          waiting: this.#waiting,
          startedAt: this.#startedAt,
          readySince: this.#readySince,
        }),
        KUBELET,
      );
    } catch (error) {
      this.#log.error("the pod's object cannot be written", { error });
    }
  }

  #key(): string {
    return `${this.identity.namespace}/${this.identity.name}`;
  }

  #now(): string {
    return `${new Date(this.#context.clock.now()).toISOString().slice(0, 19)}Z`;
  }
}

function inheritedEnvironment(): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const name of inherited) {
    const value = process.env[name];
    if (value !== undefined) environment[name] = value;
  }
  return environment;
}
