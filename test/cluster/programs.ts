/**
 * Makes sure of the cluster's programs ahead of the tests, and prints where they are:
 *
 *   node bin/run.mjs test/cluster/programs.ts [NAME …]     all of them without names
 */
import { programPath, providePrograms } from "../support/cluster/binaries.ts";
import { clusterPrograms, isClusterProgram } from "../support/cluster/programs.ts";

const names = process.argv.slice(2);
const unknown = names.filter((name) => !isClusterProgram(name));
if (unknown.length > 0) {
  console.error(`Cannot provide ${unknown.join(", ")}: the programs are ${clusterPrograms.join(", ")}.`);
  process.exit(2);
}
const wanted = names.length === 0 ? clusterPrograms : names.filter(isClusterProgram);
const provision = await providePrograms(wanted, { print: (line) => console.error(line) });
if (provision.kind === "impossible") {
  console.error(provision.reason);
  process.exit(1);
}
for (const program of wanted) console.log(`${program.padEnd(24)} ${programPath(program)}`);
