/**
 * Custom resources as the planners take them: spec read by the schema with defaults filled in, once, when
 * an object enters the cache. Fields that are not known here (the definitions are newer than this operator,
 * in the middle of an upgrade or after a rollback) are left out, as everywhere in Kubernetes. Of an object that
 * does not fit for another reason (stored under an older schema) the last reading stays in force, so that a
 * bad edit takes nothing down. Both are told in the log and kept for the object's conditions (misreads.ts).
 * Status is taken as it is: it is ours.
 */
import type { z } from "zod";

import { ipPoolSpec } from "../../crds/ipPool.ts";
import type { KindName } from "../../crds/group.ts";
import type { IpPool, ResourceMeta, SendingDomain, SmtpRelay } from "../../crds/kinds.ts";
import { openApiSchemas } from "../../crds/openApi.ts";
import { sendingDomainSpec } from "../../crds/sendingDomain.ts";
import { smtpRelaySpec } from "../../crds/smtpRelay.ts";
import { zodProblems } from "../../crds/zodProblems.ts";
import { normalAddress } from "../plan/ipAddresses.ts";
import type { KubeObject } from "../adapters/kubeClient.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Misread } from "../status/misread.ts";
import type { Cached } from "./cache.ts";

type Shape<T> = (object: KubeObject, before: Cached<T | null> | undefined) => T | null;

export interface Typed {
  readonly metadata: ResourceMeta;
  readonly spec: unknown;
}

/** By reading; of what could never be read, by the object itself. */
const misreads = new WeakMap<object, Misread>();

/** What of the object's spec could not be read; undefined when all of it was. */
export function misreadOf({ object, value }: Cached<Typed | null>): Misread | undefined {
  return misreads.get(value ?? object);
}

/** Null: it cannot be read, and never could. */
function shape<T extends Typed>(kind: KindName, schema: z.ZodType, log: Log): Shape<T> {
  return (object, before) => {
    const { parsed, unknown } = readLeniently(schema, object["spec"]);
    if (unknown.length > 0) {
      const { namespace, name } = object.metadata;
      log.warn("fields of an object are not known here and are left out", {
        kind: object.kind,
        namespace,
        name,
        fields: unknown.slice(0, MOST_NAMED).join(", "),
      });
    }
    const rest = {
      apiVersion: object.apiVersion,
      kind: object.kind,
      metadata: object.metadata,
      ...(object["status"] === undefined ? {} : { status: object["status"] }),
    };
    const kept = <K extends object>(reading: K, problem: string | null): K => {
      if (problem !== null || unknown.length > 0) misreads.set(reading, { problem, unknownFields: unknown });
      return reading;
    };
    if (parsed.success) return kept({ ...rest, spec: parsed.data } as unknown as T, null);
    const { namespace, name, uid } = object.metadata;
    const [first] = zodProblems(parsed.error.issues, object["spec"], openApiSchemas[kind].spec, ["spec"]);
    const problem = first?.text ?? parsed.error.message;
    const issue = parsed.error.issues[0];
    log.error("cannot read an object, keeping what it said before", {
      kind,
      namespace,
      name,
      field: ["spec", ...(issue?.path ?? [])].map(String).join("."),
      problem: issue?.message,
    });
    const last = before?.value;
    if (last === null || last === undefined || last.metadata.uid !== uid) {
      kept(object, problem);
      return null;
    }
    return kept({ ...rest, spec: last.spec } as unknown as T, problem);
  };
}

/** Unknown fields named in one line of the log. */
const MOST_NAMED = 10;

/** Reads the spec, without the fields the schema does not know; names those. */
function readLeniently(
  schema: z.ZodType,
  spec: unknown,
): { parsed: z.ZodSafeParseResult<unknown>; unknown: string[] } {
  const parsed = schema.safeParse(spec);
  const unknown = (parsed.error?.issues ?? []).flatMap((issue) =>
    issue.code === "unrecognized_keys" ? issue.keys.map((key) => [...issue.path, key]) : [],
  );
  if (unknown.length === 0) return { parsed, unknown: [] };
  const known = structuredClone(spec);
  for (const path of unknown) leaveOut(known, path);
  return {
    parsed: schema.safeParse(known),
    unknown: unknown.map((path) => ["spec", ...path].map(String).join(".")),
  };
}

function leaveOut(from: unknown, path: readonly PropertyKey[]): void {
  const [last] = path.slice(-1);
  let at: unknown = from;
  for (const step of path.slice(0, -1)) at = (at as Record<PropertyKey, unknown> | undefined)?.[step];
  if (typeof at === "object" && at !== null && last !== undefined) {
    delete (at as Record<PropertyKey, unknown>)[last];
  }
}

export const relayShape = (log: Log): Shape<SmtpRelay> => shape<SmtpRelay>("SmtpRelay", smtpRelaySpec, log);
export const domainShape = (log: Log): Shape<SendingDomain> =>
  shape<SendingDomain>("SendingDomain", sendingDomainSpec, log);
export const poolShape = (log: Log): Shape<IpPool> => shape<IpPool>("IpPool", ipPoolSpec, log);

/** The object beside its reading, which holds the spec: ten thousand need not be held twice. One that cannot be read stays whole. */
export function withoutSpec(object: KubeObject, reading: unknown): KubeObject {
  if (reading === null) return object;
  const { spec: _spec, ...rest } = object;
  return rest;
}

/** Pools a relay names, each once. */
export function poolsNamed(relay: SmtpRelay): string[] {
  const names = [relay.spec.poolRef, ...relay.spec.routes.map((route) => route.to.pool)].flatMap(
    (reference) => reference?.name ?? [],
  );
  return [...new Set(names)];
}

/** Addresses of a pool, each in the one spelling that addresses are compared by. */
export function addressesOf(pool: IpPool): string[] {
  return [...new Set(pool.spec.addresses.map(({ ip }) => normalAddress(ip)))];
}

/** Secrets of the owner's own that a relay names. */
export function secretsNamed(relay: SmtpRelay): string[] {
  const { certificate, auth, routes } = relay.spec;
  return [
    certificate?.secretRef,
    ...auth.credentials.map((credential) => credential.secretRef),
    ...routes.map((route) => route.to.smarthost?.credentialsRef),
  ].flatMap((reference) => reference?.name ?? []);
}
