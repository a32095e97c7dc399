/**
 * `npm run cluster` on a cluster that is somebody's: the operator by Helm and the quickstart's example, each in a
 * namespace it makes for itself and labels. What it has not made it neither changes nor takes away.
 */
import { join } from "node:path";
import { createInterface } from "node:readline/promises";

import { findProgram } from "../binaries.ts";
import { findProgram as findOnPath } from "../../peers/debian.ts";
import { runProgram } from "../../peers/program.ts";
import { exampleManifests, OPERATOR, OPERATOR_NAMESPACE } from "../quickstart.ts";
import type { ExistingOrder } from "./commandLine.ts";

export const EXAMPLE_NAMESPACE = "smtp-relay-example";
/** On namespaces of ours. */
const MADE = { label: "smtprelay.dev/made-by", value: "npm-run-cluster" };
const RELAY_CRD = "smtprelays.smtprelay.dev";
/** For a node that has to pull the image first. */
const OPERATOR_WITHIN_SECONDS = 180;
const PODS_WITHIN_SECONDS = 180;
const GONE_WITHIN_SECONDS = 120;
const chart = join(import.meta.dirname, "../../../../charts/smtp-relay-operator");

/** The terminal, or what stands for it. */
export interface Conversation {
  readonly print: (line: string) => void;
  /** null where nobody can answer. */
  readonly ask: ((question: string) => Promise<string>) | null;
}

/** What is expected to go wrong: said to the user as it is. */
class Refusal extends Error {}

export async function existingUp(order: ExistingOrder, talk: Conversation): Promise<number> {
  return await refusing(talk, async () => {
    const cluster = await reach(order);
    talk.print(`${cluster.title}\n`);
    talk.print(`  makes     namespaces ${OPERATOR_NAMESPACE} and ${EXAMPLE_NAMESPACE}`);
    talk.print(`  installs  ${OPERATOR} ${imageText(order)}, its CRDs and cluster roles (Helm)`);
    talk.print("  applies   examples/quickstart, with documentation addresses: no mail can leave\n");
    await confirm(order, talk, `Install into ${cluster.context}?`);

    await refuseForeign(cluster);
    await makeNamespace(cluster, OPERATOR_NAMESPACE);
    talk.print(`  the operator is being installed …`);
    await installChart(cluster, order);
    talk.print("  operator is ready");
    await makeNamespace(cluster, EXAMPLE_NAMESPACE);
    await cluster.kubectl(["apply", "-n", EXAMPLE_NAMESPACE, "-f", "-"], exampleManifests);
    talk.print("  examples/quickstart is applied; its pods are being started …");
    await untilPodsReady(cluster);
    talk.print("  pods mail-0 and mail-1 are ready\n");
    talk.print(indented(await cluster.kubectl(["get", "smtp", "-n", EXAMPLE_NAMESPACE])));
    talk.print(hints(cluster));
    return 0;
  });
}

export async function existingDown(order: ExistingOrder, talk: Conversation): Promise<number> {
  return await refusing(talk, async () => {
    const cluster = await reach(order);
    talk.print(`${cluster.title}\n`);
    const operator = await isOurs(cluster, OPERATOR_NAMESPACE);
    const example = await isOurs(cluster, EXAMPLE_NAMESPACE);
    if (operator !== "ours" && example !== "ours") {
      talk.print("Nothing of npm run cluster is in this cluster.");
      return 0;
    }
    talk.print("  removes  the example's objects and the operator's release; volumes, keys and CRDs stay\n");
    await confirm(order, talk, `Remove from ${cluster.context}?`);
    if (example === "ours") {
      if (await cluster.says(["get", "crd", RELAY_CRD])) {
        const gone = ["--ignore-not-found", `--timeout=${GONE_WITHIN_SECONDS}s`];
        await cluster.kubectl(["delete", "-n", EXAMPLE_NAMESPACE, "-f", "-", ...gone], exampleManifests);
      }
      await untilPodsGone(cluster, EXAMPLE_NAMESPACE, "smtprelay.dev/relay=mail");
      talk.print("  the example is gone");
    }
    if (operator === "ours") {
      if (await cluster.hasRelease()) {
        await cluster.helm(["uninstall", OPERATOR, "-n", OPERATOR_NAMESPACE, "--wait", "--timeout=120s"]);
      }
      await untilPodsGone(cluster, OPERATOR_NAMESPACE, `app.kubernetes.io/instance=${OPERATOR}`);
      talk.print("  the operator is uninstalled");
    }
    talk.print(await kept(cluster));
    return 0;
  });
}

interface Reached {
  readonly context: string;
  /** For a person to see where this goes. */
  readonly title: string;
  /** Paths, for hints. */
  readonly programs: { readonly kubectl: string; readonly helm: string };
  kubectl(words: readonly string[], input?: string): Promise<string>;
  /** Whether it ends well. */
  says(words: readonly string[]): Promise<boolean>;
  helm(words: readonly string[]): Promise<string>;
  hasRelease(): Promise<boolean>;
}

async function reach({ context: wanted }: ExistingOrder): Promise<Reached> {
  const programs = { kubectl: programOf("kubectl"), helm: programOf("helm") };
  const chosen = wanted === null ? [] : [`--context=${wanted}`];
  const told = await runProgram(programs.kubectl, [
    ...chosen,
    "config",
    "view",
    "--minify",
    "-o",
    "json",
  ]).catch((error: unknown) => {
    throw new Refusal(`Cannot tell which cluster KUBECONFIG leads to: ${lastLine(error)}`);
  });
  const config = JSON.parse(told) as {
    "current-context": string;
    clusters: { cluster: { server: string } }[] | null;
  };
  const context = wanted ?? config["current-context"];
  const server = config.clusters?.[0]?.cluster.server ?? "no server";
  // Everything after goes where the title says, even if the file's current context is changed meanwhile.
  const kubectl = async (words: readonly string[], input?: string) =>
    await runProgram(programs.kubectl, [`--context=${context}`, ...words], {
      seconds: 300,
      ...(input === undefined ? {} : { input }),
    });
  const helm = async (words: readonly string[]) =>
    await runProgram(programs.helm, [`--kube-context=${context}`, ...words], { seconds: 400 });
  const version = await kubectl(["version", "-o", "json", "--request-timeout=10s"]).catch(
    (error: unknown) => {
      throw new Refusal(`Cannot reach ${context} (${server}): ${lastLine(error)}`);
    },
  );
  const { serverVersion } = JSON.parse(version) as { serverVersion?: { gitVersion: string } };
  return {
    context,
    title: `Cluster ${context} at ${server}, Kubernetes ${serverVersion?.gitVersion ?? "of unknown version"}`,
    programs,
    kubectl,
    helm,
    says: async (words) =>
      await kubectl(words).then(
        () => true,
        () => false,
      ),
    hasRelease: async () =>
      await helm(["status", OPERATOR, "-n", OPERATOR_NAMESPACE]).then(
        () => true,
        () => false,
      ),
  };
}

/** The user's own first: it fits their cluster. */
function programOf(name: "kubectl" | "helm"): string {
  const path = findOnPath(name) ?? findProgram(name);
  if (path !== null && path !== undefined) return path;
  throw new Refusal(
    `Cannot find ${name}: put it on the PATH, or have it built into the cache: node bin/run.mjs test/cluster/programs.ts ${name}`,
  );
}

async function confirm({ yes }: ExistingOrder, { ask }: Conversation, question: string): Promise<void> {
  if (yes) return;
  if (ask === null)
    throw new Refusal(`${question} Nobody can answer here: say --yes if this is the right cluster.`);
  const answer = await ask(`${question} [y/N] `);
  if (!/^y(es)?$/i.test(answer.trim())) throw new Refusal("Nothing was changed.");
}

/** A terminal that can be asked; null in a pipe. */
export function terminalAsk(): Conversation["ask"] {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return null;
  return async (question) => {
    const lines = createInterface({ input: process.stdin, output: process.stdout });
    try {
      return await lines.question(question);
    } finally {
      lines.close();
    }
  };
}

/** Another operator of these kinds, or a namespace of the same name, is somebody's. */
async function refuseForeign(cluster: Reached): Promise<void> {
  for (const namespace of [OPERATOR_NAMESPACE, EXAMPLE_NAMESPACE]) {
    if ((await isOurs(cluster, namespace)) === "foreign") {
      throw new Refusal(
        `Cannot use namespace ${namespace}: it is there already, and npm run cluster has not made it. ` +
          `Use helm upgrade and kubectl apply there yourself, or take another cluster.`,
      );
    }
  }
  const owner = await cluster.kubectl([
    ...["get", "crd", RELAY_CRD, "--ignore-not-found", "-o"],
    String.raw`jsonpath={.metadata.annotations.meta\.helm\.sh/release-namespace}/{.metadata.annotations.meta\.helm\.sh/release-name}`,
  ]);
  if (owner !== "" && owner !== `${OPERATOR_NAMESPACE}/${OPERATOR}`) {
    const whose = owner === "/" ? "not by Helm" : `by the Helm release ${owner}`;
    throw new Refusal(
      `Cannot install: the CRDs of these kinds are there already, ${whose}; two operators would quarrel.`,
    );
  }
}

async function isOurs(cluster: Reached, namespace: string): Promise<"ours" | "foreign" | "absent"> {
  const found = await cluster.kubectl(["get", "namespace", namespace, "--ignore-not-found", "-o", "json"]);
  if (found.trim() === "") return "absent";
  const { metadata } = JSON.parse(found) as { metadata: { labels?: Record<string, string> } };
  return metadata.labels?.[MADE.label] === MADE.value ? "ours" : "foreign";
}

async function makeNamespace(cluster: Reached, name: string): Promise<void> {
  const metadata = { name, labels: { [MADE.label]: MADE.value } };
  await cluster.kubectl(
    ["apply", "-f", "-"],
    JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata }),
  );
}

async function installChart(cluster: Reached, order: ExistingOrder): Promise<void> {
  const { image, values } = order;
  const sets =
    image === null
      ? []
      : [
          ...["--set-string", `image.repository=${image.repository}`],
          ...["--set-string", `image.tag=${image.tag ?? ""},image.digest=${image.digest ?? ""}`],
        ];
  try {
    await cluster.helm([
      ...["upgrade", "--install", OPERATOR, chart, "-n", OPERATOR_NAMESPACE],
      ...values.flatMap((file) => ["--values", file]),
      ...sets,
      ...["--wait", `--timeout=${OPERATOR_WITHIN_SECONDS}s`],
    ]);
  } catch (error) {
    const pods = await podsAsSeen(cluster, OPERATOR_NAMESPACE);
    throw new Refusal(`Cannot install the operator: ${lastLine(error)}${pods}`);
  }
}

async function untilPodsReady(cluster: Reached): Promise<void> {
  const within = ["-n", EXAMPLE_NAMESPACE, `--timeout=${PODS_WITHIN_SECONDS}s`];
  try {
    for (const pod of ["pod/mail-0", "pod/mail-1"]) {
      await cluster.kubectl(["wait", "--for=create", pod, ...within]);
      await cluster.kubectl(["wait", "--for=condition=Ready", pod, ...within]);
    }
  } catch (error) {
    const pods = await podsAsSeen(cluster, EXAMPLE_NAMESPACE);
    throw new Refusal(`Cannot see the relay's pods become ready: ${lastLine(error)}${pods}`);
  }
}

/** They stop in order, which takes up to a minute. */
async function untilPodsGone(cluster: Reached, namespace: string, label: string): Promise<void> {
  const within = `--timeout=${GONE_WITHIN_SECONDS}s`;
  await cluster.kubectl(["wait", "--for=delete", "pod", "-l", label, "-n", namespace, within]);
}

/** What keeps pods from running stands in their events: an image that cannot be pulled, a claim without a volume. */
async function podsAsSeen(cluster: Reached, namespace: string): Promise<string> {
  const pods = await cluster.kubectl(["get", "pods", "-n", namespace]).catch(String);
  const events = await cluster
    .kubectl(["get", "events", "-n", namespace, "--field-selector=type=Warning", "--sort-by=.lastTimestamp"])
    .catch(String);
  const last = events.trimEnd().split("\n").slice(-5).join("\n");
  return `\n\n${indented(pods)}\n${indented(last)}\nTake it away with: npm run cluster -- down`;
}

/** A namespace of ours goes when nothing is left in it; volumes and keys are the user's to delete. */
async function kept(cluster: Reached): Promise<string> {
  const stays: string[] = [];
  for (const namespace of [OPERATOR_NAMESPACE, EXAMPLE_NAMESPACE]) {
    if ((await isOurs(cluster, namespace)) !== "ours") continue;
    const left = await cluster
      .kubectl([
        ...[
          "get",
          "pods,persistentvolumeclaims,secrets,services,statefulsets,deployments,smtprelays,sendingdomains,ippools",
        ],
        ...["-n", namespace, "-o", "name", "--ignore-not-found"],
      ])
      .catch(String);
    const names = left
      .trim()
      .split("\n")
      .filter((name) => name !== "");
    if (names.length === 0) {
      await cluster.kubectl(["delete", "namespace", namespace, `--timeout=${GONE_WITHIN_SECONDS}s`]);
      continue;
    }
    stays.push(`  kept: namespace ${namespace} with ${names.join(", ")}`);
    stays.push(`        kubectl delete namespace ${namespace}`);
  }
  stays.push(`  kept: the CRDs, and every relay, domain and pool of the cluster`);
  stays.push(
    `        kubectl delete crd ${RELAY_CRD} sendingdomains.smtprelay.dev ippools.smtprelay.dev    deletes those as well`,
  );
  return `\n${stays.join("\n")}`;
}

function hints({ context }: Reached): string {
  const at = `kubectl --context=${context} -n ${EXAMPLE_NAMESPACE}`;
  return `
  The example's domain is example.test, its addresses are for documentation: nobody can publish its records, so it
  is not Ready, and says why. With a domain and addresses of yours it will be.

    ${at} get smtp,pods
    ${at} get sendingdomain example.test -o yaml       the records to publish, with what is seen
    ${at} exec mail-0 -- smtp-relay queue              what waits, and why
    ${at} edit smtprelay mail                          no pod restarts
    ${at} scale smtprelay/mail --replicas=1            a pod leaves once its queue is empty

  Take it away with:   npm run cluster -- down
`;
}

function imageText({ image, values }: ExistingOrder): string {
  if (image === null) return `with ${values.join(", ")}`;
  return `${image.repository}${image.digest === undefined ? `:${image.tag ?? ""}` : `@${image.digest}`}`;
}

async function refusing({ print }: Conversation, action: () => Promise<number>): Promise<number> {
  try {
    return await action();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    print(error.message);
    return 1;
  }
}

function lastLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.trimEnd().split("\n").at(-1) ?? "";
}

function indented(text: string): string {
  return text.trimEnd().replaceAll(/^/gm, "  ");
}
