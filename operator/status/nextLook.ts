/**
 * When to look at an object again, should nothing change before: the next date in its schedules, the next
 * look at DNS, the next report. Whatever changes in the cluster brings a look of its own.
 */
import type { Condition } from "../../crds/fields.ts";
import type { IpPoolStatus } from "../../crds/ipPool.ts";
import type { SendingDomainStatus } from "../../crds/sendingDomain.ts";
import type { SmtpRelayStatus } from "../../crds/smtpRelay.ts";
import type { ReconcileResult } from "../reconcile/result.ts";
import type { DomainWorld, Plan, PoolWorld, RelayPlan, RelayWorld } from "../world.ts";
import { EVE_MS, nextUtcMidnight } from "../warmup/days.ts";

/** Reports while something is under way that a report will end. */
const SOON_SECONDS = 2;
/** What is missing is watched; this is for what no watch sees. */
const MISSING_SECONDS = 60;
/** A look for its own sake: certificates age, others' edits are put right. */
const IDLE_SECONDS = 3600;
const DNS_SECONDS = { first: 5, pendingMost: 300, verified: 600 } as const;

export function relayNextLook(world: RelayWorld, plan: RelayPlan, status: SmtpRelayStatus): ReconcileResult {
  const blocking = plan.problems.find(({ severity }) => severity === "Blocking");
  if (plan.needs.length > 0) return { kind: "again", afterSeconds: 1 };
  if (world.pods.length > 0) {
    return {
      kind: "again",
      afterSeconds: isTrue(status.conditions, "Reconciling") ? SOON_SECONDS : world.environment.reportSeconds,
    };
  }
  if (blocking !== undefined) return waiting(blocking.reason);
  return { kind: "again", afterSeconds: world.relay.spec.replicas > 0 ? SOON_SECONDS : IDLE_SECONDS };
}

export function domainNextLook(world: DomainWorld, plan: Plan, status: SendingDomainStatus): ReconcileResult {
  if (plan.needs.length > 0) return { kind: "again", afterSeconds: 1 };
  const blocking = plan.problems.find(({ severity }) => severity === "Blocking");
  // Nobody can act on its records before the claim is settled; the other domain is watched.
  if (blocking?.reason === "DomainClaimed") return { kind: "stalled", reason: blocking.reason };
  const keys = status.dkim?.keys ?? [];
  const dates = keys.flatMap(({ state, createdAt, removeAfter }) => [
    ...(removeAfter === undefined ? [] : [Date.parse(removeAfter)]),
    ...(state === "Active" ? [Date.parse(createdAt) + world.domain.spec.dkim.rotationDays * 86_400_000] : []),
  ]);
  const untilDate = secondsUntil(dates, world.now);
  const loading = isTrue(status.conditions, "Reconciling") && status.dns === "Verified";
  const afterSeconds = Math.min(untilDate, loading ? SOON_SECONDS : dnsSeconds(world.now, status));
  return blocking === undefined
    ? { kind: "again", afterSeconds }
    : { ...waiting(blocking.reason), afterSeconds };
}

export function poolNextLook(world: PoolWorld, _plan: Plan, status: IpPoolStatus): ReconcileResult {
  const hasPods = world.relays.some(({ pods }) => pods.length > 0);
  const midnight = nextUtcMidnight(world.now);
  const untilDate = secondsUntil([midnight, midnight - EVE_MS], world.now);
  const records = status.records ?? [];
  const pending = records.some(({ state }) => state !== "Verified");
  const moving = status.addresses?.some((address) => isMoving(address)) === true;
  const reports = hasPods ? (moving ? SOON_SECONDS : world.environment.reportSeconds) : IDLE_SECONDS;
  const dns =
    records.length === 0 ? IDLE_SECONDS : pending ? poolDnsSeconds(world, status) : DNS_SECONDS.verified;
  return { kind: "again", afterSeconds: Math.min(untilDate, reports, dns) };
}

/** Parts are on their way from one pod to another, or a pod waits for its first one. */
function isMoving({ shares, warmup, state }: NonNullable<IpPoolStatus["addresses"]>[number]): boolean {
  if (warmup === undefined || state === "Paused") return false;
  const given = (shares ?? []).reduce((sum, { permille }) => sum + permille, 0);
  const waits = (shares ?? []).some(({ permille, spoolSince }) => permille === 0 || spoolSince === undefined);
  return given < 1000 || waits;
}

/** Soon while records were just asked for, rarer the longer nothing changes. */
function dnsSeconds(now: number, { dns, checkedAt }: SendingDomainStatus): number {
  if (dns === "Verified") return DNS_SECONDS.verified;
  return pendingSeconds(checkedAt === undefined ? 0 : now - Date.parse(checkedAt));
}

function poolDnsSeconds(world: PoolWorld, status: IpPoolStatus): number {
  const since = status.conditions?.find(({ type }) => type === "AddressesVerified")?.lastTransitionTime;
  return pendingSeconds(since === undefined ? 0 : world.now - Date.parse(since));
}

function pendingSeconds(quietMs: number): number {
  return Math.min(DNS_SECONDS.pendingMost, Math.max(DNS_SECONDS.first, Math.round(quietMs / 20_000)));
}

function secondsUntil(dates: readonly number[], now: number): number {
  const ahead = dates.filter((date) => date > now).map((date) => Math.ceil((date - now) / 1000));
  return Math.min(86_400, ...ahead);
}

function isTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return conditions?.some((condition) => condition.type === type && condition.status === "True") === true;
}

function waiting(reason: string) {
  return { kind: "waiting", reason, afterSeconds: MISSING_SECONDS } as const;
}
