/** Our CRDs on an API server: applied from the generated files, and waited for until they are served. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

import type { KubeObject } from "../../../operator/adapters/kubeClient.ts";
import type { RawApi } from "./rawApi.ts";

const folder = join(import.meta.dirname, "../../../crds/generated");
const SERVED_WITHIN_MS = 30_000;

interface Definition extends KubeObject {
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string }[];
  };
}

/** The generated CRDs, parsed. */
export function generatedCrds(): readonly Definition[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => parse(readFileSync(join(folder, name), "utf8")) as Definition);
}

/** Applies them and returns when the server has established each and answers for its objects. */
export async function applyCrds(api: RawApi): Promise<readonly KubeObject[]> {
  const crds = generatedCrds();
  for (const crd of crds) await api.apply(crd, { strict: true });
  return await Promise.all(crds.map((crd) => untilServed(api, crd)));
}

async function untilServed(api: RawApi, crd: Definition): Promise<KubeObject> {
  const { apiVersion, kind, metadata, spec } = crd;
  const deadline = performance.now() + SERVED_WITHIN_MS;
  let last: unknown;
  while (performance.now() < deadline) {
    const stored = await api.get(apiVersion, kind, metadata.name);
    last = stored?.["status"];
    if (stored !== null && condition(stored, "Established") === "True") {
      const version = `${spec.group}/${spec.versions[0]?.name ?? ""}`;
      const listed = await api.list(version, spec.names.kind).catch(() => null);
      if (listed !== null) return stored;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`Cannot use ${metadata.name}: it is not served: ${JSON.stringify(last)}`);
}

/** Status of a condition; undefined when the object has none of this type. */
export function condition(object: KubeObject, type: string): string | undefined {
  const status = object["status"] as
    | { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
    | undefined;
  return status?.conditions?.find((one) => one.type === type)?.status;
}
