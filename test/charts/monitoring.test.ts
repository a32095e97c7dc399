/** Alerts and dashboard ask for series that exist, and every alert leads a person to a page that helps. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

import { createOperatorMetrics } from "../../operator/adapters/cluster/metrics.ts";
import { FakeClock } from "../support/fakeClock.ts";
import { failure, optionalProgram, repository, run } from "../support/charts/helm.ts";

const read = (path: string) => readFileSync(join(repository, path), "utf8");
const alertsFile = "charts/smtp-relay-operator/files/alerts.yaml";
const alerts = (
  parse(read(alertsFile)) as {
    groups: { rules: { alert: string; expr: string; labels: { severity: string }; annotations: object }[] }[];
  }
).groups.flatMap((group) => group.rules);

async function knownSeries(): Promise<ReadonlySet<string>> {
  const registry = new Registry();
  createOperatorMetrics(registry, new FakeClock(), {
    depths: () => new Map(),
    cached: () => new Map(),
    troubles: () => [],
    watchAges: () => [],
    leading: () => true,
  });
  const ofOperator = (await registry.getMetricsAsJSON()).map(({ name }) => name);
  const ofRelay = [...read("docs/reference/metrics.md").matchAll(/^## `(\w+)`$/gm)].map(
    (match) => match[1] ?? "",
  );
  return new Set([...ofOperator, ...ofRelay]);
}

const asked = (text: string) =>
  [...text.matchAll(/\b(?:smtp_relay|controller_runtime|workqueue|leader_election|rest_client)_\w+/g)].map(
    ([name]) => name.replace(/_(bucket|sum|count)$/, ""),
  );

test("every series an alert asks for exists", async () => {
  const known = await knownSeries();

  const unknown = alerts.map(({ alert, expr }) => ({
    alert,
    asks: asked(expr).length > 0,
    unknown: asked(expr).filter((name) => !known.has(name)),
  }));

  expect(unknown).toEqual(alerts.map(({ alert }) => ({ alert, asks: true, unknown: [] })));
});

test("every series the dashboard asks for exists", async () => {
  const known = await knownSeries();
  const { panels } = JSON.parse(read("charts/smtp-relay-operator/files/dashboard.json")) as {
    panels: { title: string; targets?: { expr: string }[] }[];
  };
  const expressions = panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));

  expect(expressions.length).toBeGreaterThan(20);
  expect(expressions.flatMap(asked).filter((name) => !known.has(name))).toEqual([]);
});

test("each alert has a page, each page an alert", () => {
  const pages = readdirSync(join(repository, "docs/runbooks"))
    .filter((name) => name !== "README.md")
    .map((name) => name.replace(/\.md$/, ""))
    // The others are procedures that pages of alerts lead to.
    .filter((name) => name.startsWith("SmtpRelay"));

  expect(pages.toSorted()).toEqual(alerts.map(({ alert }) => alert).toSorted());
});

test.each(alerts)(
  "the page of $alert says what it means, where to look and what to do",
  ({ alert, labels }) => {
    const page = read(`docs/runbooks/${alert}.md`);

    expect(page).toContain(`# ${alert}\n\nSeverity: ${labels.severity}.`);
    expect(page.split("\n").filter((line) => line.startsWith("## "))).toEqual([
      "## Means",
      "## Look",
      "## Do",
    ]);
    expect(page).toContain("kubectl ");
  },
);

const promtool = optionalProgram("promtool", "the check of the alerts");
describe.skipIf(promtool === undefined)("Prometheus", () => {
  test("reads the alerts", () => {
    const ended = run(promtool ?? "", ["check", "rules", "--lint-fatal", alertsFile]);

    expect(failure(ended)).toBe("");
  });

  test("raises each when it should and not before", () => {
    const ended = run(promtool ?? "", ["test", "rules", "test/charts/alerts.promtool.yaml"]);

    expect(failure(ended)).toBe("");
  });
});
