/**
 * Objects read from a cluster as the types the operator works with. Unlike a manifest, such an object has
 * passed the API server, perhaps under a newer CRD than this program knows: unknown fields are left out,
 * missing defaults are filled in, and anything else that does not fit is an error worth stopping for.
 */
import { API_VERSION, type KindName } from "./group.ts";
import type { IpPool, ResourceMeta, SendingDomain, SmtpRelay } from "./kinds.ts";
import { pruned, withDefaults } from "./defaulting.ts";
import { openApiSchemas } from "./openApi.ts";
import { kindSchemas } from "./schemas.ts";
import { zodProblems } from "./zodProblems.ts";

interface Typed {
  SmtpRelay: SmtpRelay;
  SendingDomain: SendingDomain;
  IpPool: IpPool;
}

/** Each throws an Error that names the object and the field when it is not of its kind or does not fit. */
export const parseSmtpRelay = (object: unknown): SmtpRelay => parseResource("SmtpRelay", object);
export const parseSendingDomain = (object: unknown): SendingDomain => parseResource("SendingDomain", object);
export const parseIpPool = (object: unknown): IpPool => parseResource("IpPool", object);

export function parseResource<K extends KindName>(kind: K, object: unknown): Typed[K] {
  if (!isRecord(object) || object["kind"] !== kind || object["apiVersion"] !== API_VERSION) {
    const found = isRecord(object)
      ? `${String(object["apiVersion"])} ${String(object["kind"])}`
      : typeof object;
    throw new Error(`Cannot read an object as ${API_VERSION} ${kind}: it is ${found}.`);
  }
  const metadata = object["metadata"];
  if (!isRecord(metadata) || typeof metadata["name"] !== "string") {
    throw new Error(`Cannot read a ${kind}: it has no metadata.name.`);
  }
  const { namespace } = metadata;
  const name = `${kind} ${typeof namespace === "string" ? `${namespace}/` : ""}${metadata["name"]}`;
  const spec = parsePart(kind, "spec", object["spec"], name);
  const status = object["status"];
  const resource = {
    apiVersion: API_VERSION,
    kind,
    metadata: metadata as unknown as ResourceMeta,
    spec,
    ...(isRecord(status) && { status: parsePart(kind, "status", status, name) }),
  };
  // The schemas of this kind made spec and status, which the compiler cannot follow.
  return resource as unknown as Typed[K];
}

function parsePart(kind: KindName, part: "spec" | "status", value: unknown, name: string): unknown {
  const schema = openApiSchemas[kind][part];
  const completed = withDefaults(schema, pruned(schema, value));
  const parsed = kindSchemas[kind][part].safeParse(completed);
  if (parsed.success) return parsed.data;
  const problems = zodProblems(parsed.error.issues, completed, schema, [part]);
  throw new Error(`Cannot read ${name}: ${problems.map(({ text }) => text).join("; ")}`);
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
