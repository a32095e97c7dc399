/**
 * Satisfies what a plan cannot make itself: keys, certificates, passwords. What is made goes into its
 * Secret beside what is there already; an entry that exists is never replaced, so that a stale cache or a
 * second operator cannot throw a key away.
 */
import { configFiles } from "../../relay/contract/endpoints.ts";
import type { Random } from "../../relay/kit/random.ts";
import type { ApplyObject, KubeClient, KubeObject } from "../adapters/kubeClient.ts";
import type { KeyGenerator } from "../adapters/keyGenerator.ts";
import { resources } from "../resources.ts";
import { pemEntry } from "../plan/dkimKeys.ts";
import type { Need, Plan, SecretObject } from "../world.ts";
import { APPLIED_HASH } from "./differs.ts";
import type { Writer } from "./writer.ts";

export interface NeedsOptions {
  readonly client: KubeClient;
  readonly keys: KeyGenerator;
  readonly random: Random;
}

/** 24 bytes: 192 bits, 32 characters that need no quoting anywhere. */
const PASSWORD_BYTES = 24;

/** Made but not stored yet, by Secret: enough for every domain of a large namespace to be new at once. */
const MOST_PENDING = 1000;

export class Needs {
  readonly #options: NeedsOptions;
  /** While the API server takes no writes, what was made waits here instead of being made anew each time. */
  readonly #pending = new Map<string, Record<string, string>>();

  constructor(options: NeedsOptions) {
    this.#options = options;
  }

  /** Returns when every Secret holds what was needed. */
  async satisfy(plan: Plan, namespace: string, writer: Writer): Promise<void> {
    const bySecret = Map.groupBy(plan.needs, (need) => need.secretName);
    for (const [name, needs] of bySecret) {
      const found = await this.#options.client.get(resources.secrets, { namespace, name });
      const planned = plan.objects.find(
        (object) => object.kind === "Secret" && object.metadata.name === name,
      );
      // Made by somebody else between our look and now: the next look finds it and says so.
      if (found !== null && needs.some((need) => !fits(found, need))) continue;
      const existing = (found as SecretObject | null)?.data ?? {};
      const made: Record<string, string> = {};
      const key = `${namespace}/${name}`;
      const pending = this.#pending.get(key) ?? {};
      for (const need of needs) {
        const entries = entriesOf(need);
        if (entries.every((entry) => existing[entry] !== undefined)) continue;
        const waits = entries.every((entry) => pending[entry] !== undefined);
        Object.assign(
          made,
          waits
            ? Object.fromEntries(entries.map((entry) => [entry, pending[entry]]))
            : await this.#make(need),
        );
      }
      if (Object.keys(made).length === 0) continue;
      this.#remember(key, made);
      await writer.applyAlways({
        ...secretFrame(name, namespace, found, planned, needs),
        type: typeOf(found, planned, needs),
        data: { ...existing, ...made },
      });
      this.#pending.delete(key);
    }
  }

  #remember(key: string, made: Record<string, string>): void {
    this.#pending.delete(key);
    this.#pending.set(key, made);
    for (const oldest of this.#pending.keys()) {
      if (this.#pending.size <= MOST_PENDING) break;
      this.#pending.delete(oldest);
    }
  }

  async #make(need: Need): Promise<Record<string, string>> {
    const { keys, random } = this.#options;
    switch (need.kind) {
      case "password":
        return { password: base64(Buffer.from(random.bytes(PASSWORD_BYTES)).toString("base64url")) };
      case "dkimKey":
        return { [pemEntry(need.selector)]: base64(await keys.dkimKey(need.algorithm)) };
      case "certificate": {
        const { certificate, key } = await keys.certificate(need.hostname);
        return { [configFiles.certificate]: base64(certificate), [configFiles.certificateKey]: base64(key) };
      }
    }
  }
}

/** A key may be put into a Secret that its owner made; a password or certificate into one of ours only. */
function fits(found: KubeObject, need: Need): boolean {
  if (need.kind === "dkimKey") return true;
  return Object.entries(need.labels).every(([key, value]) => found.metadata.labels?.[key] === value);
}

function entriesOf(need: Need): string[] {
  switch (need.kind) {
    case "password":
      return ["password"];
    case "dkimKey":
      return [pemEntry(need.selector)];
    case "certificate":
      return [configFiles.certificate, configFiles.certificateKey];
  }
}

/** Labels, owners and annotations as planned, else as they are: an apply takes away what it leaves out. */
function secretFrame(
  name: string,
  namespace: string,
  found: KubeObject | null,
  planned: ApplyObject | undefined,
  needs: readonly Need[],
): ApplyObject {
  const known = planned?.metadata ?? found?.metadata;
  const fresh = needs.flatMap((need) => ("labels" in need ? [{ ...need.labels }] : []))[0];
  const { labels, annotations, ownerReferences } = known ?? (fresh === undefined ? {} : { labels: fresh });
  // Not what the plan wants yet: its hash would say so.
  const { [APPLIED_HASH]: _hash, ...kept } = annotations ?? {};
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name,
      namespace,
      ...(labels === undefined ? {} : { labels }),
      ...(annotations === undefined ? {} : { annotations: kept }),
      ...(ownerReferences === undefined ? {} : { ownerReferences }),
    },
  };
}

/** The type of a Secret cannot change once it exists. */
function typeOf(found: KubeObject | null, planned: ApplyObject | undefined, needs: readonly Need[]): unknown {
  const usual = needs.some((need) => need.kind === "certificate") ? "kubernetes.io/tls" : "Opaque";
  return found?.["type"] ?? planned?.["type"] ?? usual;
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
