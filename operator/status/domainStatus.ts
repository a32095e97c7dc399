/** SendingDomain: World and plan → status. Writes nothing new while nothing changes. */
import type { Reason } from "../../crds/conditions.ts";
import type { DnsRecordStatus, SendingDomainStatus } from "../../crds/sendingDomain.ts";
import { type KeyPlan, planKeys } from "../plan/dkimKeys.ts";
import { domainRecords, poolAddresses, recordStatus } from "../plan/dnsRecords.ts";
import { whyHeld } from "../plan/domainConfigs.ts";
import { dkimSecretName } from "../plan/names.ts";
import { canonicalJson } from "../plan/relayConfig.ts";
import { dnsQuestion, type DomainWorld, type Plan } from "../world.ts";
import { timestampOf, utcDay } from "../warmup/days.ts";
import { type Finding, listOf, sentences, setConditions, stalledFinding } from "./setCondition.ts";

type DomainFinding = Finding<"SendingDomain">;

/** Bound of the list in the API. */
const MOST_RECORDS = 32;

interface View {
  readonly world: DomainWorld;
  readonly plan: Plan;
  readonly keys: KeyPlan;
  readonly records: readonly DnsRecordStatus[];
}

export function domainStatus(world: DomainWorld, plan: Plan): SendingDomainStatus {
  const { domain } = world;
  const before = domain.status;
  const keys = planKeys(world);
  const addresses = poolAddresses(world.pools);
  const records = domainRecords(domain, keys.published, world.pools)
    .slice(0, MOST_RECORDS)
    .map((expected) =>
      recordStatus(expected, world.dns?.get(dnsQuestion(expected)), before?.records ?? [], {
        addresses,
        domain,
      }),
    );
  const view: View = { world, plan, keys, records };
  const findings = [
    readyFinding(view),
    reconcilingFinding(view),
    stalledFinding<"SendingDomain">(plan.problems),
    keysFinding(view),
    dnsFinding(view),
  ];
  const signing = keys.keys.filter(({ state }) => state === "Active").map(({ selector }) => selector);
  const checkedAt =
    canonicalJson(records) === canonicalJson(before?.records) ? before?.checkedAt : timestampOf(world.now);
  return {
    observedGeneration: domain.metadata.generation,
    conditions: setConditions(before?.conditions, findings, domain.metadata.generation, world.now),
    selectors: signing.join(","),
    dns: summaryOf(records),
    ...(keys.nextRotation === null ? {} : { nextRotation: utcDay(keys.nextRotation) }),
    dkim: { secretName: dkimSecretName(domain.metadata.name), keys: [...keys.keys] },
    records,
    ...(world.dns === null && before?.checkedAt === undefined
      ? {}
      : { checkedAt: checkedAt ?? timestampOf(world.now) }),
  };
}

function summaryOf(records: readonly DnsRecordStatus[]): NonNullable<SendingDomainStatus["dns"]> {
  if (records.some(({ state }) => state === "Missing" || state === "Different")) return "Incomplete";
  return records.length > 0 && records.every(({ state }) => state === "Verified") ? "Verified" : "Unchecked";
}

function readyFinding({ world, plan, keys, records }: View): DomainFinding {
  const ready = (status: DomainFinding["status"], reason: Reason, message: string): DomainFinding => ({
    type: "Ready",
    status,
    reason,
    message,
  });
  const blocking = plan.problems.filter(({ severity }) => severity === "Blocking");
  if (blocking[0] !== undefined) return ready("False", blocking[0].reason as Reason, sentences(blocking));
  const active = keys.keys.filter(({ state }) => state === "Active");
  const held = whyHeld(
    { ...world.domain, status: { dkim: { secretName: "", keys: [...keys.keys] } } },
    active,
  );
  const dns = dnsReason(records);
  if (held !== null) {
    if (keys.published.length === 0) return ready("False", "KeysPending", `Mail is answered 451: ${held}.`);
    const status = dns === "RecordsUnchecked" || dns === "DnsUnreachable" ? "Unknown" : "False";
    // Everything is verified but the key is not active yet: this pass was the one that saw it.
    return ready(status, dns ?? "RecordsUnchecked", `Mail is answered 451: ${held}.`);
  }
  const unloaded = podsWithoutKey(
    world,
    active.map(({ selector }) => selector),
  );
  if (unloaded.length > 0) {
    return ready(
      "False",
      "KeysPending",
      `${listOf(unloaded)} ${unloaded.length === 1 ? "has" : "have"} not loaded the keys yet.`,
    );
  }
  const signed =
    active.length === 0 ? "not signed" : `signed by ${listOf(active.map(({ selector }) => selector))}`;
  const open = dns === null || dns === "RecordsUnchecked" ? null : dns;
  return ready(
    "True",
    open ?? "Verified",
    `Mail is taken and ${signed}.${open === null ? "" : ` ${recordsText(records)}`}`,
  );
}

/** Pods that answered and hold no key of the domain at all; a rotation leaves them the old one. */
function podsWithoutKey(world: DomainWorld, selectors: readonly string[]): readonly string[] {
  if (selectors.length === 0) return [];
  const prefix = `${world.domain.spec.domain}/`;
  return world.answers.flatMap((answer) =>
    answer.kind === "report" && !answer.report.loadedKeys.some((key) => key.startsWith(prefix))
      ? [answer.report.pod]
      : [],
  );
}

/** Null: everything is verified. */
function dnsReason(records: readonly DnsRecordStatus[]): Reason | null {
  const has = (state: DnsRecordStatus["state"]) => records.some((record) => record.state === state);
  if (has("Different")) return "RecordsDiffer";
  if (has("Missing")) return "RecordsMissing";
  if (has("Unreachable")) return "DnsUnreachable";
  return has("Unchecked") || records.length === 0 ? "RecordsUnchecked" : null;
}

/** "3 of 5 records verified; TXT r2611._domainkey.example.com: missing." */
function recordsText(records: readonly DnsRecordStatus[]): string {
  const verified = records.filter(({ state }) => state === "Verified").length;
  const open = records
    .filter(({ state }) => state !== "Verified")
    .map(({ type, name, state, detail }) => `${type} ${name}: ${detail ?? words[state]}`);
  const text = `${verified} of ${records.length} records verified`;
  return open.length === 0 ? `${text}.` : `${text}; ${listOf(open, 3)}.`;
}

const words: Readonly<Record<DnsRecordStatus["state"], string>> = {
  Verified: "as expected",
  Missing: "missing",
  Different: "different",
  Unreachable: "no answer",
  Unchecked: "not asked yet",
};

function keysFinding({ plan, keys }: View): DomainFinding {
  const type = "KeysIssued";
  const invalid = plan.problems.find(({ reason }) => reason === "SecretInvalid");
  const usable = keys.published.filter(({ state }) => state !== "Retiring");
  const missing = (["rsa-sha256", "ed25519-sha256"] as const).filter(
    (algorithm) => !usable.some((key) => key.algorithm === algorithm),
  );
  if (missing.length > 0) {
    return invalid === undefined
      ? { type, status: "False", reason: "KeysPending", message: `Being made: ${missing.join(", ")}.` }
      : { type, status: "False", reason: "SecretInvalid", message: invalid.message };
  }
  const rotating = rotatingKeys(keys);
  return rotating.length > 0
    ? { type, status: "True", reason: "KeyRotation", message: rotationText(rotating) }
    : {
        type,
        status: "True",
        reason: "KeysIssued",
        message: `Keys ${listOf(usable.map(({ selector }) => selector))} exist.`,
      };
}

/** Keys that wait to be seen while others of their algorithm sign. */
function rotatingKeys({ keys }: KeyPlan): readonly string[] {
  return keys
    .filter(
      (key) =>
        key.state === "Publishing" &&
        keys.some((other) => other.state === "Active" && other.algorithm === key.algorithm),
    )
    .map(({ selector }) => selector);
}

function rotationText(selectors: readonly string[]): string {
  return `${listOf(selectors)} must be seen in DNS before the present keys retire.`;
}

function dnsFinding({ records }: View): DomainFinding {
  const reason = dnsReason(records);
  const message = recordsText(records);
  if (reason === null) return { type: "DnsVerified", status: "True", reason: "RecordsVerified", message };
  const known = reason === "RecordsMissing" || reason === "RecordsDiffer";
  return { type: "DnsVerified", status: known ? "False" : "Unknown", reason, message };
}

function reconcilingFinding(view: View): DomainFinding {
  const { world, plan, keys, records } = view;
  const under = (reason: Reason, message: string): DomainFinding => ({
    type: "Reconciling",
    status: "True",
    reason,
    message,
  });
  if (plan.problems.some(({ severity }) => severity === "Blocking")) {
    return {
      type: "Reconciling",
      status: "False",
      reason: "Settled",
      message: "Nothing is under way; see Stalled.",
    };
  }
  if (plan.needs.length > 0)
    return under("KeysPending", `Being made: ${listOf(keys.toMake.map(({ selector }) => selector))}.`);
  const rotating = rotatingKeys(keys);
  if (rotating.length > 0) return under("KeyRotation", rotationText(rotating));
  const dns = dnsReason(records);
  if (dns !== null && dns !== "DnsUnreachable") return under(dns, recordsText(records));
  const active = keys.keys.filter(({ state }) => state === "Active").map(({ selector }) => selector);
  const unloaded = podsWithoutKey(world, active);
  if (unloaded.length > 0)
    return under(
      "InProgress",
      `${listOf(unloaded)} ${unloaded.length === 1 ? "has" : "have"} not loaded the keys yet.`,
    );
  return {
    type: "Reconciling",
    status: "False",
    reason: "Settled",
    message: "Everything the spec asks for is in place.",
  };
}
