/**
 * docs/reference/operator-metrics.md from the declarations of adapters/cluster/metrics.ts. Run it to write the page:
 *
 *   node bin/run.mjs operator/metricsPage.ts
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { Registry } from "prom-client";

import { systemClock } from "../relay/kit/clock.ts";
import { metricsPage } from "../relay/kit/metrics.ts";
import { createOperatorMetrics } from "./adapters/cluster/metrics.ts";

export const pageFile = join(import.meta.dirname, "..", "docs", "reference", "operator-metrics.md");

export function operatorMetricsPage(): string {
  const { book } = createOperatorMetrics(new Registry(), systemClock, {
    depths: () => new Map(),
    cached: () => new Map(),
    troubles: () => [],
    watchAges: () => [],
    leading: () => false,
  });
  return metricsPage(
    "Metrics of the operator",
    "Served at `/metrics` of the operator's pods, port 8080 (`--metrics-port`), beside `/healthz` and `/readyz`. Names that " +
      "controller-runtime has mean what they mean there. Node's own series (`process_*`, `nodejs_*`, the event loop's lag among " +
      "them) are there, too. Made from `operator/adapters/cluster/metrics.ts`: change it there.",
    book.declared,
  );
}

if (import.meta.main) writeFileSync(pageFile, operatorMetricsPage());
