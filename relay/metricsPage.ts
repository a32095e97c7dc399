/**
 * docs/reference/metrics.md from the declarations of metrics.ts. Run it to write the page:
 *
 *   node bin/run.mjs relay/metricsPage.ts
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { Registry } from "prom-client";

import { metricsPage } from "./kit/metrics.ts";
import { createRelayMetrics } from "./metrics.ts";

export const pageFile = join(import.meta.dirname, "..", "docs", "reference", "metrics.md");

export function relayMetricsPage(): string {
  const { book } = createRelayMetrics(new Registry());
  return metricsPage(
    "Metrics of a relay",
    "Served at `/metrics` of each relay pod, port 8025, in the Prometheus text format. No label holds a mail address or a " +
      "recipient's domain. Made from `relay/metrics.ts`: change it there.",
    book.declared,
  );
}

if (import.meta.main) writeFileSync(pageFile, relayMetricsPage());
