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

export class Needs {
  readonly #options: NeedsOptions;

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
      const existing = (found as SecretObject | null)?.data ?? {};
      const made: Record<string, string> = {};
      for (const need of needs) {
        const missing = entriesOf(need).filter((entry) => existing[entry] === undefined);
        if (missing.length > 0) Object.assign(made, await this.#make(need));
      }
      if (Object.keys(made).length === 0) continue;
      await writer.applyAlways({
        ...secretFrame(name, namespace, found, planned),
        type: typeOf(found, planned, needs),
        data: { ...existing, ...made },
      });
    }
  }

  async #make(need: Need): Promise<Record<string, string>> {
    const { keys, random } = this.#options;
    switch (need.kind) {
      case "password":
        return { password: base64(Buffer.from(random.bytes(PASSWORD_BYTES)).toString("base64url")) };
      case "dkimKey":
        return { [dkimEntry(need.selector)]: base64(await keys.dkimKey(need.algorithm)) };
      case "certificate": {
        const { certificate, key } = await keys.certificate(need.hostname);
        return { [configFiles.certificate]: base64(certificate), [configFiles.certificateKey]: base64(key) };
      }
    }
  }
}

/** Entry of a DKIM private key in its Secret. */
export function dkimEntry(selector: string): string {
  return `${selector}.pem`;
}

function entriesOf(need: Need): string[] {
  switch (need.kind) {
    case "password":
      return ["password"];
    case "dkimKey":
      return [dkimEntry(need.selector)];
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
): ApplyObject {
  const { labels, annotations, ownerReferences } = planned?.metadata ?? found?.metadata ?? {};
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
