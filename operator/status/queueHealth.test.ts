import { expect, test } from "vitest";

import { aPod, aSilentPod } from "../../test/support/builders.ts";
import type { RelayReport } from "../../relay/contract/report.ts";
import { aggregateReports } from "./aggregateReports.ts";
import { queueFinding } from "./queueHealth.ts";

const queue = (providers: Readonly<Record<string, number>>): RelayReport["queue"] => ({
  messages: 1204,
  recipients: 1204,
  oldestSeconds: 38,
  providers: Object.entries(providers).map(([provider, recipients]) => ({
    provider,
    recipients,
    oldestSeconds: 38,
  })),
});
const backoff = {
  source: "default/a",
  provider: "google",
  kind: "Backoff",
  reason: "421 4.7.28 (rule google/rate-4.7.28)",
  since: "2026-11-23T14:02:00Z",
  until: "2026-11-23T14:12:00Z",
} as const;
const text = (pods: Parameters<typeof aggregateReports>[0], paused = false) => {
  const { status, reason, message } = queueFinding(aggregateReports(pods), paused);
  return `${status} ${reason}: ${message}`;
};

test("a provider that holds most of the queue is named with number, rule and end", () => {
  const pods = [aPod("mail-0", { queue: queue({ google: 1090, other: 114 }), restraints: [backoff] })];

  expect(text(pods)).toBe(
    "False ProviderBackoff: google holds 1,090 of 1,200 recipients: 421 4.7.28 (rule google/rate-4.7.28) since 14:02 UTC on default/a, until 14:12 UTC.",
  );
});

test("a backoff that holds next to nothing is everyday", () => {
  const pods = [aPod("mail-0", { queue: queue({ google: 10, other: 1194 }), restraints: [backoff] })];

  expect(text(pods)).toBe("True QueueFlowing: Mail leaves without unusual delay.");
});

test("a used allowance, a failed spool, a pause and silence are told apart", () => {
  const used = {
    ...backoff,
    provider: "total",
    kind: "Allowance",
    reason: "200 of 200 used (warm-up, 2026-11-23)",
    until: null,
  } as const;

  expect(text([aPod("mail-0", { queue: queue({ google: 10 }), restraints: [used] })])).toBe(
    "False AllowanceUsed: all providers hold 10 of 10 recipients for the next UTC day: 200 of 200 used (warm-up, 2026-11-23) since 14:02 UTC on default/a.",
  );
  expect(text([aPod("mail-0", { spool: { state: "Failed", reason: "ENOSPC" } })])).toBe(
    "False SpoolFailed: mail-0 cannot write its spool: ENOSPC; it answers submissions with 4xx.",
  );
  expect(text([aPod("mail-0", { queue: queue({ google: 10 }) })], true)).toBe(
    "False Paused: spec.paused is set: what is taken waits.",
  );
  expect(text([aSilentPod("mail-0")])).toBe(
    "Unknown ReportsMissing: No pod answered when asked for its queue.",
  );
  expect(text([])).toBe("Unknown QueueUnknown: No pod has reported its queue yet.");
});
