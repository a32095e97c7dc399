/**
 * Plays the StatefulSet controller: for each set in the cluster, brings the local pods to what it asks
 * for, one step after another (rollout.ts decides which), and says in its status how far it is.
 *
 * Stopping local mode stops pods but leaves the sets: the next start goes on from there.
 */
import { createHash } from "node:crypto";

import type { Log } from "../../relay/kit/log.ts";
import type { KubeObject } from "../adapters/kubeClient.ts";
import { type FollowContext, type Following, follow } from "./follow.ts";
import { objectKey } from "./objectKey.ts";
import { LocalPod, type PodContext } from "./pod.ts";
import { readStatefulSetSpec, type StatefulSetSpec } from "./podTemplate.ts";
import { nextRolloutStep } from "./rollout.ts";
import { resources } from "../resources.ts";

const CONTROLLER = "local-statefulset-controller";

export interface StatefulSets {
  /** Every pod there is now. */
  pods(): readonly LocalPod[];
  /** Stops all pods in order; nothing is started any more. */
  stop(): Promise<void>;
  /** Ends all processes at once. */
  kill(): void;
}

export type StatefulSetsOptions = FollowContext &
  Omit<PodContext, "secret"> & {
    /** Told whenever a pod came, went, or changed. */
    readonly onChange: () => void;
  };

/** Resolves when the sets there are now have been seen. */
export async function playStatefulSets(options: StatefulSetsOptions): Promise<StatefulSets> {
  const sets = new Map<string, RunningSet>();
  let stopped = false;
  const secrets: Following = await follow(options, resources.secrets, (secret) => {
    for (const set of sets.values()) set.secretChanged(secret);
  });
  const context: PodContext = {
    ...options,
    secret: (namespace, name) => secrets.get({ namespace, name }),
  };
  const look = (object: KubeObject) => {
    if (stopped) return;
    const key = objectKey(object);
    const now = following.get({ namespace: object.metadata.namespace ?? "", name: object.metadata.name });
    let set = sets.get(key);
    if (set === undefined) {
      if (now === undefined) return;
      set = new RunningSet(
        context,
        options.log.with({ statefulSet: object.metadata.name }),
        options.onChange,
      );
      sets.set(key, set);
    }
    set.changed(now ?? null);
  };
  const following: Following = await follow(options, resources.statefulSets, look);
  for (const object of following.all()) look(object);

  return {
    pods: () => [...sets.values()].flatMap((set) => set.pods()),
    async stop() {
      stopped = true;
      await Promise.all([...sets.values()].map((set) => set.stop()));
      await Promise.all([following.stop(), secrets.stop()]);
    },
    kill() {
      stopped = true;
      for (const set of sets.values()) set.kill();
    },
  };
}

class RunningSet {
  readonly #context: PodContext;
  readonly #log: Log;
  readonly #onChange: () => void;
  readonly #pods = new Map<number, LocalPod>();
  /** As last seen; null: deleted. */
  #object: KubeObject | null = null;
  #spec: StatefulSetSpec | null = null;
  #revision = "";
  #stopping = false;
  #stepping: Promise<void> = Promise.resolve();
  #dirty = false;
  #writtenStatus = "";

  constructor(context: PodContext, log: Log, onChange: () => void) {
    this.#context = context;
    this.#log = log;
    this.#onChange = onChange;
  }

  pods(): readonly LocalPod[] {
    return [...this.#pods.entries()].toSorted(([a], [b]) => a - b).map(([, pod]) => pod);
  }

  changed(object: KubeObject | null): void {
    if (object?.metadata.uid !== this.#object?.metadata.uid) this.#writtenStatus = "";
    this.#object = object;
    if (object !== null) {
      try {
        this.#spec = readStatefulSetSpec(object["spec"]);
        this.#revision = hashOf(this.#spec.template);
      } catch (error) {
        // What runs goes on as it is.
        this.#log.error("a StatefulSet cannot be played", { error });
        return;
      }
    }
    this.#step();
  }

  secretChanged(secret: KubeObject): void {
    for (const pod of this.#pods.values()) {
      if (pod.identity.namespace === secret.metadata.namespace) pod.secretsChanged();
    }
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#stepping;
    await Promise.all([...this.#pods.values()].map((pod) => pod.stop()));
  }

  kill(): void {
    this.#stopping = true;
    for (const pod of this.#pods.values()) pod.kill();
  }

  /** One step at a time; whatever changes meanwhile asks for the next. */
  #step(): void {
    if (this.#dirty) return;
    this.#dirty = true;
    this.#stepping = this.#stepping.then(() => this.#takeStep());
  }

  async #takeStep(): Promise<void> {
    this.#dirty = false;
    if (this.#stopping) return;
    try {
      this.#act();
      await this.#writeStatus();
    } catch (error) {
      this.#log.error("a StatefulSet's step failed", { error });
    }
  }

  #act(): void {
    const spec = this.#spec;
    if (spec === null) return;
    const step = nextRolloutStep(
      {
        replicas: this.#object === null ? 0 : spec.replicas,
        revision: this.#revision,
        podManagementPolicy: spec.podManagementPolicy,
      },
      [...this.#pods].map(([ordinal, pod]) => ({
        ordinal,
        revision: pod.identity.revision,
        ready: pod.ready,
        stopping: pod.stopping,
      })),
    );
    switch (step.kind) {
      case "create":
        for (const ordinal of step.ordinals) this.#create(ordinal, spec);
        return;
      case "stop":
        void this.#remove(step.ordinal);
        return;
      case "wait":
        return;
    }
  }

  #create(ordinal: number, spec: StatefulSetSpec): void {
    const object = this.#object;
    if (object === null) return;
    const { name, namespace = "default", uid = "" } = object.metadata;
    const pod = new LocalPod(
      {
        namespace,
        name: `${name}-${ordinal}`,
        ordinal,
        owner: {
          apiVersion: "apps/v1",
          kind: "StatefulSet",
          name,
          uid,
          controller: true,
          blockOwnerDeletion: true,
        },
        template: spec.template,
        revision: this.#revision,
        claims: spec.volumeClaimTemplates.map((claim) => claim.metadata.name),
      },
      this.#context,
      () => this.#podChanged(),
    );
    this.#pods.set(ordinal, pod);
    pod.start();
  }

  async #remove(ordinal: number): Promise<void> {
    const pod = this.#pods.get(ordinal);
    if (pod === undefined) return;
    await pod.stop().catch((error: unknown) => this.#log.error("a pod failed to stop", { error }));
    this.#pods.delete(ordinal);
    this.#podChanged();
  }

  #podChanged(): void {
    this.#onChange();
    this.#step();
  }

  async #writeStatus(): Promise<void> {
    const object = this.#object;
    if (object === null || this.#spec === null) return;
    const pods = [...this.#pods.values()];
    const ready = pods.filter((pod) => pod.ready).length;
    const updated = pods.filter((pod) => pod.identity.revision === this.#revision).length;
    const status = {
      observedGeneration: object.metadata.generation ?? 0,
      replicas: pods.length,
      readyReplicas: ready,
      availableReplicas: ready,
      updatedReplicas: updated,
      currentReplicas: pods.length - updated,
      updateRevision: this.#revision,
    };
    const text = JSON.stringify(status);
    if (text === this.#writtenStatus) return;
    const { name, namespace = "default" } = object.metadata;
    await this.#context.client.applyStatus(
      { apiVersion: "apps/v1", kind: "StatefulSet", metadata: { name, namespace }, status },
      CONTROLLER,
    );
    this.#writtenStatus = text;
  }
}

function hashOf(template: unknown): string {
  return createHash("sha256").update(JSON.stringify(template)).digest("hex").slice(0, 10);
}
