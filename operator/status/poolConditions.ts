/** The conditions of an IpPool, in sentences with number, limit and rule. */
import type { Reason } from "../../crds/conditions.ts";
import type { Plan, PoolWorld } from "../world.ts";
import type { AddressStatus } from "../warmup/rows.ts";
import { sourceName } from "../plan/names.ts";
import { isBound } from "../plan/sources.ts";
import { reportsByPod } from "../warmup/podReports.ts";
import { countText } from "./figures.ts";
import type { PoolRecord } from "./poolAddress.ts";
import type { PodAddressRow } from "./podAddresses.ts";
import { type Finding, listOf, sentences, stalledFinding } from "./setCondition.ts";

type PoolFinding = Finding<"IpPool">;

export function poolFindings(
  world: PoolWorld,
  plan: Plan,
  addresses: readonly AddressStatus[],
  records: readonly PoolRecord[],
  known: readonly PodAddressRow[],
): readonly PoolFinding[] {
  const verified = verifiedFinding(world, plan, addresses, records);
  const bound = boundFinding(world, addresses, known);
  const ready = readyFinding(plan, addresses, verified, nowhere(world, addresses) ? bound : null);
  return [
    ready,
    reconciling(world, plan, ready, verified),
    stalled(plan, ready),
    verified,
    bound,
    warmingFinding(addresses),
  ];
}

const sends = ({ state }: AddressStatus) => state === "Warming" || state === "Warm";

/** `missing`: what is to be said when no address is on any of its pods; null when one is. */
function readyFinding(
  plan: Plan,
  addresses: readonly AddressStatus[],
  verified: PoolFinding,
  missing: PoolFinding | null,
): PoolFinding {
  const type = "Ready";
  if (missing !== null) {
    return { type, status: "False", reason: "AddressMissing", message: missing.message };
  }
  const sending = addresses.filter(sends);
  const text = `${sending.length} of ${addresses.length} ${addresses.length === 1 ? "address" : "addresses"} may send`;
  const claimed = plan.problems.length === 0 ? "" : ` ${sentences(plan.problems)}`;
  if (sending.length > 0) {
    const wrong = verified.status === "False" || verified.reason === "DnsUnreachable";
    const reason: Reason = wrong
      ? verified.reason
      : sending.some(({ state }) => state === "Warming")
        ? "Warming"
        : "Warm";
    return { type, status: "True", reason, message: wrong ? `${text}. ${verified.message}` : `${text}.` };
  }
  if (addresses.every(({ state }) => state === "Paused")) {
    return {
      type,
      status: "False",
      reason: "AllPaused",
      message: "Every address is paused in spec.addresses.",
    };
  }
  if (plan.problems.length > 0 && verified.reason === "AddressClaimed") {
    return { type, status: "False", reason: "AddressClaimed", message: `${text}.${claimed}` };
  }
  const unknown = verified.status === "Unknown";
  return {
    type,
    status: unknown ? "Unknown" : "False",
    reason: verified.reason,
    message: `${text}. ${verified.message}`,
  };
}

function verifiedFinding(
  world: PoolWorld,
  plan: Plan,
  addresses: readonly AddressStatus[],
  records: readonly PoolRecord[],
): PoolFinding {
  const type = "AddressesVerified";
  if (plan.problems.length > 0) {
    return { type, status: "False", reason: "AddressClaimed", message: sentences(plan.problems) };
  }
  if (world.pool.spec.checks.forwardConfirmedReverseDns === "Skip") {
    return { type, status: "Unknown", reason: "ChecksOff", message: "spec.checks asks for no proof." };
  }
  const of = (result: "Pass" | "Fail" | "Unknown") =>
    addresses.flatMap(({ name, checks }) =>
      checks.filter((check) => check.result === result).map(({ detail }) => `${name}: ${detail}`),
    );
  const failed = of("Fail");
  if (failed.length > 0) {
    return { type, status: "False", reason: "ReverseDnsFailed", message: `${listOf(failed, 3)}.` };
  }
  const unknown = of("Unknown");
  // Proven before and silent now is still proven; that DNS does not answer is worth a word.
  const silent = records
    .filter(({ state }) => state === "Unreachable")
    .map(({ type, name }) => `${type} ${name}`);
  if (unknown.length === 0 && silent.length === 0) {
    return {
      type,
      status: "True",
      reason: "Verified",
      message: `${addresses.length} of ${addresses.length} passed forward-confirmed reverse DNS.`,
    };
  }
  return silent.length > 0
    ? { type, status: "Unknown", reason: "DnsUnreachable", message: `No answer for ${listOf(silent, 3)}.` }
    : { type, status: "Unknown", reason: "RecordsUnchecked", message: `${listOf(unknown, 3)}.` };
}

interface Missing {
  readonly address: string;
  readonly pod: string;
  readonly reason: string;
}

function missingAddresses(world: PoolWorld): readonly Missing[] {
  const prefix = sourceName(world.pool.metadata.name, "");
  return [...reportsByPod(world)].flatMap(([pod, report]) =>
    report.missingAddresses.flatMap(({ source, reason }): Missing[] =>
      source.startsWith(prefix) ? [{ address: source.slice(prefix.length), pod, reason }] : [],
    ),
  );
}

/** Whether every address that may send is known to be missing on every pod that should send from it. */
function nowhere(world: PoolWorld, addresses: readonly AddressStatus[]): boolean {
  const missing = isBound(world.pool, world.environment) ? missingAddresses(world) : [];
  const sending = addresses.filter(sends);
  const isMissing = (name: string, pods: readonly string[]) =>
    pods.length > 0 && pods.every((pod) => missing.some((one) => one.address === name && one.pod === pod));
  return sending.length > 0 && sending.every(({ name, pods = [] }) => isMissing(name, pods));
}

/** Whether pods have the addresses they send from, as they say themselves. */
function boundFinding(
  world: PoolWorld,
  addresses: readonly AddressStatus[],
  known: readonly PodAddressRow[],
): PoolFinding {
  const type = "AddressesBound";
  if (!isBound(world.pool, world.environment)) {
    const message = "The network gives mail its address; relays bind none.";
    return { type, status: "Unknown", reason: "AddressesTranslated", message };
  }
  const reports = [...reportsByPod(world)];
  if (reports.length === 0) {
    return { type, status: "Unknown", reason: "ReportsMissing", message: "No pod has reported yet." };
  }
  const missing = missingAddresses(world).map(
    (one) => `${one.address} is not on ${one.pod} (${one.reason})${elsewhere(one, addresses, known)}`,
  );
  const without = podsWithout(addresses, known);
  if (missing.length === 0 && without.length === 0) {
    const message = "Every pod that reports has its addresses.";
    return { type, status: "True", reason: "AddressesPresent", message };
  }
  const parts = [
    ...(missing.length === 0 ? [] : [`Nothing is sent where ${listOf(missing, 3)}.`]),
    ...(without.length === 0
      ? []
      : [
          `${listOf(without, 3)} ${without.length === 1 ? "has" : "have"} none of the addresses: mail for this pool waits there.`,
        ]),
  ];
  return { type, status: "False", reason: "AddressMissing", message: parts.join(" ") };
}

/** Who has the address that a pod lacks. */
function elsewhere(
  { address, pod }: Missing,
  addresses: readonly AddressStatus[],
  known: readonly PodAddressRow[],
): string {
  const others = known.filter((one) => one.pod !== pod);
  const having = others.filter((one) => one.addresses.includes(address)).map((one) => one.pod);
  if (having.length > 0) {
    const { pods = [] } = addresses.find(({ name }) => name === address) ?? {};
    const next = pods.filter((one) => having.includes(one));
    return next.length > 0 ? `, ${listOf(next, 2)} has it and sends from it next` : "";
  }
  return others.length > 0 ? " nor on another pod that says what it has" : "";
}

/** Pods known to have no address of the pool. Those that hold one nobody has are told by that address. */
function podsWithout(
  addresses: readonly AddressStatus[],
  known: readonly PodAddressRow[],
): readonly string[] {
  const sending = new Set(addresses.flatMap(({ pods = [] }) => pods));
  return known.flatMap(({ pod, addresses: has }) => (has.length === 0 && !sending.has(pod) ? [pod] : []));
}

/** A pool of which nothing can send, because DNS says something wrong, waits for a person. */
function stalled(plan: Plan, ready: PoolFinding): PoolFinding {
  const finding = stalledFinding<"IpPool">(plan.problems);
  return finding.status === "False" && ready.status === "False" && ready.reason === "ReverseDnsFailed"
    ? { type: "Stalled", status: "True", reason: "ReverseDnsFailed", message: ready.message }
    : finding;
}

function reconciling(world: PoolWorld, plan: Plan, ready: PoolFinding, verified: PoolFinding): PoolFinding {
  const type = "Reconciling";
  if (stalled(plan, ready).status === "True") {
    return { type, status: "False", reason: "Settled", message: "Nothing is under way; see Stalled." };
  }
  if (verified.reason === "RecordsUnchecked") {
    const isNew = world.pool.status?.conditions === undefined;
    return {
      type,
      status: "True",
      reason: isNew ? "Starting" : "RecordsUnchecked",
      message: verified.message,
    };
  }
  return { type, status: "False", reason: "Settled", message: "Everything the spec asks for is in place." };
}

function warmingFinding(addresses: readonly AddressStatus[]): PoolFinding {
  const type = "WarmingUp";
  const warming = addresses
    .flatMap(({ name, state, warmup }) =>
      state === "Warm" || warmup === undefined ? [] : [{ name, warmup }],
    )
    .toSorted((a, b) => a.warmup.stage - b.warmup.stage);
  const [least] = warming;
  if (least === undefined) {
    return { type, status: "False", reason: "Warm", message: "No address is limited by a ramp." };
  }
  const { stage, stages, dayLimit } = least.warmup;
  return {
    type,
    status: "True",
    reason: "Warming",
    message: `${warming.length} of ${addresses.length} on a ramp; ${least.name} is on stage ${stage} of ${stages}, ${countText(dayLimit)} a day.`,
  };
}
