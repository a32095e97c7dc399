/** The cluster for people comes up by one command, and its other command takes it away even after a kill -9. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

import { programPath } from "../support/cluster/binaries.ts";
import { provideCluster } from "../support/cluster/cluster.ts";
import { BRIDGE } from "../support/cluster/node/network.ts";
import { PAUSE_IMAGE } from "../support/cluster/node/pauseImage.ts";
import { allProcesses } from "../support/cluster/node/processTable.ts";
import { readRecord } from "../support/cluster/node/record.ts";
import { mounts, podCgroups } from "../support/cluster/node/sweep.ts";
import { runProgram } from "../support/peers/program.ts";

const main = join(import.meta.dirname, "main.ts");
const command = (...words: string[]) => runProgram(process.execPath, [main, ...words], { seconds: 300 });
const before = mounts();

beforeAll(async () => {
  const provision = await provideCluster((line) => console.log(line), ["helm"]);
  if (provision.kind === "impossible") throw new Error(provision.reason);
}, 3_600_000);

afterAll(async () => void (await command("down")), 300_000);

test("what a killed cluster leaves is taken away, running pods included", async () => {
  const said = await command();
  const kubeconfig = /export KUBECONFIG=(\S+)/.exec(said)?.[1] ?? "";
  const kubectl = (...words: string[]) =>
    runProgram(programPath("kubectl"), words, { env: { ...process.env, KUBECONFIG: kubeconfig } });
  await kubectl("create", "deployment", "web", `--image=${PAUSE_IMAGE}`, "--replicas=2");
  await kubectl("wait", "--for=condition=Available", "deployment/web", "--timeout=60s");
  const record = readRecord();
  if (record === null) throw new Error("The cluster is not written down.");
  process.kill(record.owner.pid, "SIGKILL");

  await expect(command("down")).resolves.toContain("gone");

  const programs = allProcesses().filter(({ words }) =>
    words.some((word) => word.includes(record.directory)),
  );
  expect(programs.map(({ words }) => words.join(" "))).toEqual([]);
  expect(mounts()).toEqual(before);
  expect(podCgroups()).toEqual([]);
  expect(existsSync(`/sys/class/net/${BRIDGE}`)).toBe(false);
  expect(existsSync(record.directory)).toBe(false);
  expect(existsSync(kubeconfig)).toBe(false);
  expect(spawnSync("nft", ["list", "tables"], { encoding: "utf8" }).stdout).not.toContain("kube-proxy");
  await expect(command("down")).resolves.toContain("No cluster");
}, 300_000);
