/**
 * What the quickstart waits for, each as a look at the state of things: done with a line to show, or what
 * is still missing. Pure, but for the reading of objects.
 */
import type { IpPool, SendingDomain, SmtpRelay } from "../../../crds/kinds.ts";
import type { LocalMode } from "../localMode.ts";
import type { Shown } from "../statusTable.ts";
import type { Look } from "./checklist.ts";

/** The three objects the quickstart speaks of. */
export interface Cast {
  readonly relay: SmtpRelay;
  readonly domain: SendingDomain;
  readonly pool: IpPool;
}

/** Null, with what is missing, when the folder was changed so that there is nothing to show. */
export function castOf(objects: readonly Shown[]): Cast | string {
  const relay = objects.find((object) => object.kind === "SmtpRelay");
  if (relay === undefined) return "a SmtpRelay in the folder";
  const domain = objects.find(
    (object) => object.kind === "SendingDomain" && object.spec.relayRef.name === relay.metadata.name,
  );
  if (domain?.kind !== "SendingDomain") return `a SendingDomain that sends through ${relay.metadata.name}`;
  const pool = objects.find(
    (object) => object.kind === "IpPool" && object.metadata.name === relay.spec.poolRef?.name,
  );
  if (pool?.kind !== "IpPool") return `the IpPool ${relay.spec.poolRef?.name ?? "of the relay"}`;
  return { relay, domain, pool };
}

/** `since`: keys made before it are kept ones. */
export function lookAtKeys({ domain }: Cast, since: number): Look<string> {
  const keys = domain.status?.dkim?.keys ?? [];
  const algorithms = ["rsa-sha256", "ed25519-sha256"] as const;
  const missing = algorithms.filter((algorithm) => !keys.some((key) => key.algorithm === algorithm));
  if (missing.length > 0) return { missing: messageOf(domain, `keys of ${missing.join(" and ")}`) };
  const words = keys.map(({ algorithm, selector }) =>
    algorithm === "rsa-sha256" ? `rsa-2048 ${selector}` : `ed25519 ${selector}`,
  );
  const made = keys.some(({ createdAt }) => Date.parse(createdAt) >= since);
  return { done: `${keys.length} DKIM keys ${made ? "made" : "kept"} (${words.join(", ")})` };
}

export function lookAtDns({ domain, pool }: Cast, server: string): Look<string> {
  const records = [...(domain.status?.records ?? []), ...(pool.status?.records ?? [])];
  const verified = records.filter(({ state }) => state === "Verified");
  const [open] = records.filter(({ state }) => state !== "Verified");
  if (
    open !== undefined ||
    (domain.status?.records ?? []).length === 0 ||
    (pool.status?.records ?? []).length === 0
  ) {
    const next = open === undefined ? "the list of records" : `${open.type} ${open.name} (${open.state})`;
    return { missing: `${verified.length} of ${records.length} verified; next: ${next}` };
  }
  return { done: `${verified.length} of ${records.length} records verified at ${server}` };
}

/** Everything a message needs to be taken, signed and sent. */
export function lookAtRelays(cast: Cast, local: LocalMode, submission: string): Look<string> {
  const { relay, domain, pool } = cast;
  const pods = local.pods().filter(({ identity }) => identity.owner.name === relay.metadata.name);
  const slow = pods.find(({ ready }) => !ready);
  if (pods.length < relay.spec.replicas || slow !== undefined) {
    const which =
      slow === undefined
        ? `${relay.spec.replicas - pods.length} more to start`
        : `${slow.identity.name}: ${slow.reason}`;
    return {
      missing: `${pods.filter(({ ready }) => ready).length} of ${relay.spec.replicas} ready; ${which}`,
    };
  }
  for (const object of [domain, pool, relay]) {
    if (!holds(object, "Ready"))
      return { missing: messageOf(object, `${object.kind} ${object.metadata.name} is not ready`) };
  }
  if (!holds(relay, "ConfigApplied")) return { missing: "the newest configuration in every pod" };
  const names = pods.map(({ identity }) => identity.name).join(", ");
  return { done: `${names} ready · submission on ${submission}` };
}

/** Recipients the pool may still send to today; null: no limit. */
export function leftToday({ pool }: Cast): number | null {
  let left = 0;
  for (const { state, warmup } of pool.status?.addresses ?? []) {
    if (state === "Warm") return null;
    if (state === "Warming" && warmup !== undefined) left += Math.max(0, warmup.dayLimit - warmup.usedToday);
  }
  return left;
}

/** Recipients the pool has counted today. */
export function usedToday({ pool }: Cast): number {
  return (pool.status?.addresses ?? []).reduce((sum, { warmup }) => sum + (warmup?.usedToday ?? 0), 0);
}

function holds(object: Shown, type: string): boolean {
  const { generation } = object.metadata;
  const condition = object.status?.conditions?.find((one) => one.type === type);
  return condition?.status === "True" && (condition.observedGeneration ?? generation) === generation;
}

function messageOf(object: Shown, otherwise: string): string {
  const ready = object.status?.conditions?.find(({ type }) => type === "Ready");
  return ready === undefined || ready.status === "True" ? otherwise : ready.message;
}
