/** Helm as the chart's tests use it: the one of the cluster's programs, else one on the PATH. */
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { join } from "node:path";

import { findProgram, providePrograms } from "../cluster/binaries.ts";
import type { ClusterProgram } from "../cluster/programs.ts";
import { findProgram as findOnPath } from "../peers/debian.ts";
import { findPromtool, providePromtool } from "./promtool.ts";

export const repository = join(import.meta.dirname, "../../..");
export const chartFolder = join(repository, "charts/smtp-relay-operator");
export const allOnValues = join(repository, "test/charts/allOn.values.yaml");
/** Release and namespace of the tests, as the README has them. */
export const release = "smtp-relay-operator";

/** Makes sure of Helm, kubeconform and promtool; builds or installs what is missing. */
export async function provideChartPrograms(
  print: (line: string) => void,
): Promise<{ kind: "present" } | { kind: "impossible"; reason: string }> {
  const promtool = providePromtool(print);
  if (promtool.kind === "impossible") return promtool;
  const provision = await providePrograms(["helm", "kubeconform"], { print });
  return provision.kind === "impossible" ? provision : { kind: "present" };
}

/** Absolute path; undefined where nobody has got one yet. */
export function findHelm(): string | undefined {
  return findProgram("helm") ?? findOnPath("helm");
}

/** Absolute path; undefined after a line that says what is skipped. */
export function optionalProgram(program: ClusterProgram | "promtool", need: string): string | undefined {
  const path = program === "promtool" ? findPromtool() : (findProgram(program) ?? findOnPath(program));
  if (path === undefined) console.log(`skipped: ${need} needs ${program}, which is not on this machine`);
  return path;
}

export function run(program: string, args: readonly string[], input?: string): SpawnSyncReturns<string> {
  return spawnSync(program, args, {
    cwd: repository,
    encoding: "utf8",
    // A bound against hanging, far from what any of them takes.
    timeout: 300_000,
    maxBuffer: 64 * 1024 * 1024,
    ...(input === undefined ? {} : { input }),
  });
}

/** What a program said when it failed; empty when it did not. */
export function failure(ended: SpawnSyncReturns<string>): string {
  if (ended.status === 0) return "";
  return `exit ${ended.status}: ${ended.error?.message ?? ""}${ended.stdout}${ended.stderr}`;
}

/** What the chart makes with these flags; throws with Helm's words when it refuses. */
export function template(helm: string, ...flags: readonly string[]): string {
  const ended = run(helm, ["template", release, chartFolder, "--namespace", release, ...flags]);
  if (ended.status !== 0) throw new Error(`Cannot render the chart: ${ended.stderr}`);
  return ended.stdout;
}
