/**
 * Custom resources as the planners take them: spec read by the schema with defaults filled in, once, when
 * an object enters the cache. One that does not fit (stored under an older schema, or by a newer operator)
 * is told of in the log; the last reading of the same object stays in force, so that a bad edit takes
 * nothing down. Status is taken as it is: it is ours.
 */
import type { z } from "zod";

import { ipPoolSpec } from "../../crds/ipPool.ts";
import type { IpPool, ResourceMeta, SendingDomain, SmtpRelay } from "../../crds/kinds.ts";
import { sendingDomainSpec } from "../../crds/sendingDomain.ts";
import { smtpRelaySpec } from "../../crds/smtpRelay.ts";
import { normalAddress } from "../plan/ipAddresses.ts";
import type { KubeObject } from "../adapters/kubeClient.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Cached } from "./cache.ts";

type Shape<T> = (object: KubeObject, before: Cached<T | null> | undefined) => T | null;

interface Typed {
  readonly metadata: ResourceMeta;
  readonly spec: unknown;
}

/** Null: it cannot be read, and never could. */
function shape<T extends Typed>(schema: z.ZodType, log: Log): Shape<T> {
  return (object, before) => {
    const parsed = schema.safeParse(object["spec"]);
    const rest = {
      apiVersion: object.apiVersion,
      kind: object.kind,
      metadata: object.metadata,
      ...(object["status"] === undefined ? {} : { status: object["status"] }),
    };
    if (parsed.success) return { ...rest, spec: parsed.data } as unknown as T;
    const { namespace, name, uid } = object.metadata;
    const issue = parsed.error.issues[0];
    log.error("cannot read an object, keeping what it said before", {
      kind: object.kind,
      namespace,
      name,
      field: ["spec", ...(issue?.path ?? [])].map(String).join("."),
      problem: issue?.message,
    });
    const last = before?.value;
    if (last === null || last === undefined || last.metadata.uid !== uid) return null;
    return { ...rest, spec: last.spec } as unknown as T;
  };
}

export const relayShape = (log: Log): Shape<SmtpRelay> => shape<SmtpRelay>(smtpRelaySpec, log);
export const domainShape = (log: Log): Shape<SendingDomain> => shape<SendingDomain>(sendingDomainSpec, log);
export const poolShape = (log: Log): Shape<IpPool> => shape<IpPool>(ipPoolSpec, log);

/** The object beside its reading, which holds the spec: ten thousand need not be held twice. */
export function withoutSpec({ spec: _spec, ...object }: KubeObject): KubeObject {
  return object as KubeObject;
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
