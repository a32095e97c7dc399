/**
 * charts/generate.ts with the Helm that the chart's tests use, where they have got one already, so that config/ is
 * written and compared on a machine that has none of its own:
 *
 *   node bin/run.mjs test/support/charts/generate.ts [--check]
 */
import { spawnSync } from "node:child_process";
import { join } from "node:path";

import { findHelm, repository } from "./helm.ts";

const helm = findHelm();
const words = [join(repository, "charts/generate.ts"), ...process.argv.slice(2)];
const ended = spawnSync(process.execPath, [...words, ...(helm === undefined ? [] : ["--helm", helm])], {
  stdio: "inherit",
});
process.exitCode = ended.status ?? 1;
