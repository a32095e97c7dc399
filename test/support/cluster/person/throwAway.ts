/**
 * `npm run cluster` without KUBECONFIG: the throw-away cluster of the tests, brought up with the operator, as the
 * working tree has it, and the quickstart's example, and left running.
 *
 * A process of its own (`supervise`) holds the cluster; its lines go to a log beside the kubeconfig.
 * It also plays the world outside: a name server for the zones the objects need, and a receiving mail server.
 */
import { spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { cacheFolder } from "../../../../image/cacheFolder.ts";
import { sleep, systemClock } from "../../../../relay/kit/clock.ts";
import { programPath } from "../binaries.ts";
import { type Cluster, provideCluster, startCluster } from "../cluster.ts";
import { isAlive } from "../node/processTable.ts";
import { clearLeftovers, readRecord } from "../node/record.ts";
import { INBOX, type Outside, startOutside } from "../outside.ts";
import { productImage } from "../productImage.ts";
import { exampleManifests, installOperator, publishRecords } from "../quickstart.ts";

const folder = join(cacheFolder(process.env), "cluster");
export const throwAwayFiles = { kubeconfig: join(folder, "kubeconfig"), log: join(folder, "log") };
/** Parts of the image may have to be fetched first. */
const UP_WITHIN_MS = 600_000;
const READY_WITHIN_MS = 120_000;
const DOWN_WITHIN_MS = 120_000;
const LOOK_EVERY_MS = 100;
const PUBLISH_EVERY_MS = 2_000;

/** `program` is what `supervise` is started by. */
export async function up(program: string): Promise<number> {
  const record = readRecord();
  if (record !== null && isAlive(record.owner)) {
    console.log("A cluster of this machine is up already.");
    if (existsSync(throwAwayFiles.kubeconfig)) console.log(hints());
    return existsSync(throwAwayFiles.kubeconfig) ? 0 : 1;
  }
  const provision = await provideCluster((line) => console.log(`  ${line}`), ["helm"]);
  if (provision.kind === "impossible") {
    console.error(provision.reason);
    return 1;
  }
  mkdirSync(folder, { recursive: true });
  rmSync(throwAwayFiles.kubeconfig, { force: true });
  const log = openSync(throwAwayFiles.log, "w");
  const supervisor = spawn(process.execPath, [program, "supervise"], {
    detached: true,
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  const deadline = performance.now() + UP_WITHIN_MS;
  let shown = 0;
  // The kubeconfig is written when there is something to try.
  while (!existsSync(throwAwayFiles.kubeconfig)) {
    shown = showNew(shown);
    if (supervisor.exitCode !== null || performance.now() > deadline) {
      supervisor.kill("SIGTERM");
      console.error(`Cannot bring the cluster up: see ${throwAwayFiles.log}.`);
      return 1;
    }
    await sleep(systemClock, LOOK_EVERY_MS);
  }
  showNew(shown);
  supervisor.unref();
  console.log(hints());
  return 0;
}

export async function down(): Promise<number> {
  const record = readRecord();
  if (record === null) {
    console.log("No cluster of ours runs on this machine.");
    return 0;
  }
  const deadline = performance.now() + DOWN_WITHIN_MS;
  if (isAlive(record.owner)) process.kill(record.owner.pid, "SIGTERM");
  while (isAlive(record.owner)) {
    // What it had no time for is swept up below.
    if (performance.now() > deadline) process.kill(record.owner.pid, "SIGKILL");
    await sleep(systemClock, LOOK_EVERY_MS);
  }
  // Who waited for the node may have one up already: it is theirs.
  const next = readRecord();
  if (next === null || !isAlive(next.owner)) await clearLeftovers();
  rmSync(folder, { recursive: true, force: true });
  console.log("The cluster is gone.");
  return 0;
}

/** Holds the cluster until SIGTERM. */
export async function supervise(): Promise<number> {
  const asked = new AbortController();
  for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => asked.abort());
  const print = (line: string) => console.log(line);
  print("an image is made of the working tree …");
  using image = await productImage(print);
  await using cluster = await startCluster({
    audit: "writes",
    patienceSeconds: 60,
    print,
    images: [image.archive],
  });
  await using outside = await startOutside();
  try {
    await installExample(cluster, outside, print);
  } catch (error) {
    // The cluster stays up: it is where one looks for the reason.
    print(error instanceof Error ? error.message : String(error));
  }
  writeFileSync(throwAwayFiles.kubeconfig, cluster.api.kubeconfig("admin"), { mode: 0o600 });
  let shown = 0;
  while (!asked.signal.aborted) {
    // While it cannot be read, what was published stands.
    await publishRecords(cluster, outside).catch(() => false);
    for (const arrival of outside.arrivals.slice(shown)) {
      const verdicts = await outside.verify(arrival);
      print(`mail for ${arrival.to.join(", ")} arrived; signatures ${verdicts.join(", ") || "none"}`);
    }
    shown = outside.arrivals.length;
    await sleep(systemClock, PUBLISH_EVERY_MS, asked.signal);
  }
  return 0;
}

async function installExample(
  cluster: Cluster,
  outside: Outside,
  print: (line: string) => void,
): Promise<void> {
  await installOperator(cluster);
  print("operator is ready");
  await cluster.kubectl(["apply", "-f", "-"], { input: exampleManifests });
  print("examples/quickstart is applied; its records are being published …");
  const deadline = performance.now() + READY_WITHIN_MS;
  const ready = ["wait", "--for=condition=Ready", "--timeout=2s"];
  for (const what of ["ippool/default", "sendingdomain/example.test", "smtprelay/mail"]) {
    for (;;) {
      await publishRecords(cluster, outside);
      const refused = await cluster.kubectl([...ready, what]).then(() => null, String);
      if (refused === null) break;
      if (performance.now() > deadline) throw new Error(`Cannot see ${what} become Ready: ${refused}`);
    }
    print(`${what} is Ready`);
  }
}

function hints(): string {
  return `
  A Kubernetes of one node runs on this machine, for root and loopback only:

    export KUBECONFIG=${throwAwayFiles.kubeconfig}
    export PATH="${join(programPath("kubectl"), "..")}:${join(programPath("helm"), "..")}:$PATH"
    kubectl get smtp,pods

  Send mail; it arrives at a server on this machine, which says so in ${throwAwayFiles.log}:

    printf 'From: you@example.test\\nTo: someone@${INBOX}\\nSubject: hello\\n\\nhello\\n' |
    curl --crlf --ssl-reqd --insecure --upload-file - \\
         --url "smtp://$(kubectl get service mail -o jsonpath={.spec.clusterIP}):587" \\
         --user "app:$(kubectl get secret mail-app -o jsonpath={.data.password} | base64 -d)" \\
         --mail-from you@example.test --mail-rcpt someone@${INBOX}

  Change something; no pod restarts:    kubectl edit smtprelay/mail
  A pod leaves once its queue is empty: kubectl scale smtprelay/mail --replicas=1

  Take it away with:   npm run cluster -- down
`;
}

/** Prints the log from this character on; returns its length. */
function showNew(from: number): number {
  const text = readFileSync(throwAwayFiles.log, "utf8");
  const whole = text.slice(0, text.lastIndexOf("\n") + 1);
  for (const line of whole.slice(from).split("\n").slice(0, -1)) console.log(`  ${line}`);
  return whole.length;
}
