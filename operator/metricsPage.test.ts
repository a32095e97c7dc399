import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { operatorMetricsPage, pageFile } from "./metricsPage.ts";

test("the reference page is what the declarations say", () => {
  expect(readFileSync(pageFile, "utf8"), "run: npm run generate").toBe(operatorMetricsPage());
});
