/**
 * Who owns what two objects claim: a domain, or an address. The older one does (by creation, then by name),
 * so that nobody can take over what already works; the younger one is told who has it.
 */
import type { IpPool, ResourceMeta, SendingDomain } from "../../crds/kinds.ts";
import { normalAddress } from "./ipAddresses.ts";

interface Claimant {
  readonly metadata: ResourceMeta;
}

/** The SendingDomain that owns this one's domain, when it is another. */
export function domainOwner(domain: SendingDomain, all: readonly SendingDomain[]): SendingDomain | null {
  return oldestOther(
    domain,
    all.filter((one) => one.spec.domain === domain.spec.domain),
  );
}

/** The pool that owns this address, when it is another. */
export function addressOwner(pool: IpPool, ip: string, all: readonly IpPool[]): IpPool | null {
  const wanted = normalAddress(ip);
  return oldestOther(
    pool,
    all.filter((one) => one.spec.addresses.some((address) => normalAddress(address.ip) === wanted)),
  );
}

/** "SendingDomain default/example-com" */
export function nameOf(object: Claimant & { readonly kind: string }): string {
  return `${object.kind} ${object.metadata.namespace}/${object.metadata.name}`;
}

function oldestOther<T extends Claimant>(mine: T, claimants: readonly T[]): T | null {
  let oldest = mine;
  for (const one of claimants) {
    // What is being deleted lets go, else its successor would have to be applied twice.
    if (one.metadata.deletionTimestamp === undefined && isOlder(one.metadata, oldest.metadata)) oldest = one;
  }
  return same(oldest.metadata, mine.metadata) ? null : oldest;
}

function isOlder(a: ResourceMeta, b: ResourceMeta): boolean {
  const [left, right] = [Date.parse(a.creationTimestamp), Date.parse(b.creationTimestamp)];
  if (left !== right) return left < right;
  return `${a.namespace}/${a.name}` < `${b.namespace}/${b.name}`;
}

function same(a: ResourceMeta, b: ResourceMeta): boolean {
  return a.namespace === b.namespace && a.name === b.name;
}
