import { readFileSync } from "node:fs";

import { Registry } from "prom-client";
import { expect, test } from "vitest";

import type { RelayReport } from "./contract/report.ts";
import { createRelayMetrics } from "./metrics.ts";
import { pageFile, relayMetricsPage } from "./metricsPage.ts";

const report: RelayReport = {
  version: 1,
  pod: "mail-0",
  at: "2026-11-23T14:02:49.000Z",
  startedAt: "2026-11-23T10:00:00.000Z",
  appliedRevision: "5f1c",
  refusal: null,
  ready: true,
  notReadyReason: "",
  queue: {
    messages: 7,
    recipients: 9,
    oldestSeconds: 38,
    providers: [{ provider: "google", recipients: 9, oldestSeconds: 38 }],
    classes: [{ queueClass: "bulk", recipients: 9, oldestSeconds: 38 }],
  },
  restraints: [
    {
      source: "a",
      provider: "google",
      kind: "Backoff",
      reason: "421",
      since: "2026-11-23T14:02:11.000Z",
      until: null,
    },
  ],
  missingAddresses: [{ source: "b", reason: "EADDRNOTAVAIL", since: "2026-11-23T14:00:00.000Z" }],
  loadedKeys: [],
  usage: [
    { source: "a", day: "2026-11-23", provider: "google", used: 12, limit: 20 },
    { source: "a", day: "2026-11-23", provider: "total", used: 15, limit: null },
    { source: "a", day: "2026-11-22", provider: "google", used: 99, limit: 99 },
  ],
  usageSince: "2026-11-01T00:00:00.000Z",
  counters: [],
  spool: { state: "Ok", reason: "" },
};

async function scraped(now: RelayReport, act?: (metrics: ReturnType<typeof createRelayMetrics>) => void) {
  const registry = new Registry();
  const metrics = createRelayMetrics(registry);
  metrics.levels({ report: () => now, sessions: () => 3, overload: () => "Slow" });
  act?.(metrics);
  return (await registry.metrics()).split("\n").filter((line) => line !== "" && !line.startsWith("#"));
}

test("levels are those of the relay's own report, of today, at the scrape", async () => {
  expect(await scraped(report)).toEqual(
    expect.arrayContaining([
      "smtp_relay_ready 1",
      "smtp_relay_open_sessions 3",
      "smtp_relay_configuration_current 1",
      "smtp_relay_spool_ok 1",
      "smtp_relay_spool_set_aside_messages 0",
      "smtp_relay_queue_messages 7",
      'smtp_relay_queue_recipients{provider="google"} 9',
      'smtp_relay_queue_oldest_seconds{provider="google"} 38',
      'smtp_relay_queue_class_recipients{queue_class="bulk"} 9',
      'smtp_relay_queue_class_oldest_seconds{queue_class="bulk"} 38',
      'smtp_relay_restraints{kind="Backoff"} 1',
      'smtp_relay_allowance_used{source="a",provider="google"} 12',
      'smtp_relay_allowance_used{source="a",provider="total"} 15',
      'smtp_relay_allowance_limit{source="a",provider="google"} 20',
      'smtp_relay_address_missing{source="b"} 1',
    ]),
  );
});

test("an address that is there again is no longer told as missing", async () => {
  const registry = new Registry();
  const metrics = createRelayMetrics(registry);
  let now = report;
  metrics.levels({ report: () => now, sessions: () => 0, overload: () => "Calm" });
  const told = async () => (await registry.metrics()).includes("smtp_relay_address_missing{");

  expect(await told()).toBe(true);
  now = { ...report, missingAddresses: [] };
  expect(await told()).toBe(false);
});

test("a pool of which the pod has no address is told as missing by its own name", async () => {
  expect(await scraped({ ...report, unservedPools: ["default"] })).toContain(
    'smtp_relay_address_missing{source="default"} 1',
  );
});

test("a refused configuration, a failed spool and an unready relay show as zero, what a disk has lost as it is", async () => {
  const bad: RelayReport = {
    ...report,
    refusal: "no",
    ready: false,
    spool: { state: "Failed", reason: "ENOSPC", setAside: 2 },
  };

  expect(await scraped(bad, (metrics) => metrics.spoolDamaged(17))).toEqual(
    expect.arrayContaining([
      "smtp_relay_spool_set_aside_messages 2",
      "smtp_relay_spool_damaged_bytes 17",
      "smtp_relay_ready 0",
      "smtp_relay_configuration_current 0",
      "smtp_relay_spool_ok 0",
    ]),
  );
});

test("what happens is counted under labels of closed sets", async () => {
  const lines = await scraped(report, (metrics) => {
    const { engine, receive } = metrics;
    engine.outcome({ source: "a", provider: "google", result: "deferred", class: "RateLimited" });
    engine.outcome({ source: "", provider: "someone.example", result: "bounced", class: "BadDomain" });
    engine.outcome({ source: "a", provider: "google", result: "delivered", class: "" });
    engine.transaction({ source: "a", provider: "google" }, 0.2);
    for (const event of ["session", "sessionRefused", "authFailed", "accepted", "deferred"] as const)
      receive.count(event);
    metrics.configuration("refused");
  });

  expect(lines).toEqual(
    expect.arrayContaining([
      'smtp_relay_outcomes_total{source="a",provider="google",result="deferred",class="RateLimited"} 1',
      'smtp_relay_outcomes_total{source="none",provider="other",result="bounced",class="BadDomain"} 1',
      'smtp_relay_outcomes_total{source="a",provider="google",result="delivered",class="none"} 1',
      'smtp_relay_transaction_seconds_bucket{le="0.25",source="a",provider="google"} 1',
      'smtp_relay_sessions_total{result="opened"} 1',
      'smtp_relay_sessions_total{result="refused"} 1',
      "smtp_relay_auth_failures_total 1",
      'smtp_relay_submissions_total{result="accepted"} 1',
      'smtp_relay_submissions_total{result="deferred"} 1',
      'smtp_relay_configurations_total{result="refused"} 1',
    ]),
  );
});

test("the reference page is what the declarations say", () => {
  expect(readFileSync(pageFile, "utf8"), "run: npm run generate").toBe(relayMetricsPage());
});
