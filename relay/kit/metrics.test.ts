import { Registry } from "prom-client";
import { expect, test } from "vitest";

import { MetricBook, metricsPage } from "./metrics.ts";

const declaration = { name: "x_total", help: "Xs.", doc: "Watch them." } as const;

test("values outside a closed set are counted together as other", async () => {
  const registry = new Registry();
  const count = new MetricBook(registry).counter({ ...declaration, labels: { result: ["good", "bad"] } });

  count.add({ result: "good" }, 2);
  count.add({ result: "evil@example.test" });
  count.add({ result: "worse" });

  expect(await registry.metrics()).toContain('x_total{result="good"} 2\nx_total{result="other"} 2');
});

test("an open set takes new values up to its bound, and keeps those it has", async () => {
  const registry = new Registry();
  const labels = { source: { of: "names", atMost: 2 } };
  const count = new MetricBook(registry).counter({ ...declaration, labels });

  for (const source of ["a", "b", "c", "a", "d"]) count.add({ source });

  const text = await registry.metrics();
  expect(text).toContain('x_total{source="a"} 2\nx_total{source="b"} 1\nx_total{source="other"} 2');
});

test("levels are collected at the scrape and can be forgotten", async () => {
  const registry = new Registry();
  let now = 1;
  const level = new MetricBook(registry).gauge(
    { ...declaration, name: "x", labels: { kind: ["a", "b"] } },
    () => {
      level.clear();
      level.set({ kind: now === 1 ? "a" : "b" }, now);
    },
  );

  expect(await registry.metrics()).toContain('x{kind="a"} 1');
  now = 2;
  const second = await registry.metrics();
  expect(second).toContain('x{kind="b"} 2');
  expect(second).not.toContain('kind="a"');
});

test("a counter without labels is there before anything happened", async () => {
  const registry = new Registry();
  new MetricBook(registry).counter({ ...declaration, labels: {} });

  expect(await registry.metrics()).toContain("x_total 0");
});

test("the page says of each series what it is, what to read in it, and what its labels may be", () => {
  const book = new MetricBook(new Registry());
  book.counter({ ...declaration, labels: { result: ["good", "bad"], source: { of: "names", atMost: 9 } } });

  expect(metricsPage("Title", "Words.", book.declared)).toBe(
    [
      "# Title",
      "Words.",
      "## `x_total`",
      "counter. Xs.",
      "Watch them.",
      "- `result`: `good`, `bad`\n- `source`: names (at most 9)\n",
    ].join("\n\n"),
  );
});
