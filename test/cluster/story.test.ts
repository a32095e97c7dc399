/**
 * The whole story on a real cluster, in the user's order: Helm, the quickstart's three manifests with other
 * addresses, mail in by the Service, signed, out to a receiving server, status; then each kind edited, the relay
 * scaled, deleted and made again. The tests build on each other, as a user's days do.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { createTransport } from "nodemailer";
import { afterAll, beforeAll, beforeEach, expect, onTestFailed, test, vi } from "vitest";

import type { KubeObject } from "../../operator/adapters/kubeClient.ts";
import { type Cluster, provideCluster, startCluster } from "../support/cluster/cluster.ts";
import { BRIDGE } from "../support/cluster/node/network.ts";
import { INBOX, type Outside, startOutside } from "../support/cluster/outside.ts";
import { runProgram } from "../support/peers/program.ts";
import { productImage } from "../support/cluster/productImage.ts";
import {
  exampleManifests,
  installOperator,
  OPERATOR,
  OPERATOR_NAMESPACE,
  publishRecords,
} from "../support/cluster/quickstart.ts";

const soon = { timeout: 60_000, interval: 250 };
/** Figures in status move once a minute. */
const late = { timeout: 110_000, interval: 500 };

let cluster: Cluster;
let outside: Outside;

beforeAll(async () => {
  const provision = await provideCluster((line) => console.log(line), ["helm"]);
  if (provision.kind === "impossible") throw new Error(provision.reason);
  using image = await productImage((line) => console.log(line));
  cluster = await startCluster({ print: (line) => console.log(line), images: [image.archive] });
  outside = await startOutside();
}, 3_600_000);
afterAll(async () => {
  await outside?.[Symbol.asyncDispose]();
  await cluster?.[Symbol.asyncDispose]();
}, 120_000);
beforeEach(() => {
  onTestFailed(async () => {
    const words = [["get", "smtp,pods,statefulsets,pvc", "-A"], ["describe", "smtp"], logsOfOperator];
    for (const each of words) process.stderr.write(await cluster.kubectl(each).catch(String));
  });
});
const logsOfOperator = ["logs", "-n", OPERATOR_NAMESPACE, `deployment/${OPERATOR}`, "--tail=40"];

const kubectl = async (...words: string[]) => await cluster.kubectl(words);
const apply = async (input: string) => await cluster.kubectl(["apply", "-f", "-"], { input });
const patch = async (what: string, spec: object) =>
  await kubectl("patch", what, "--type=merge", "-p", JSON.stringify({ spec }));

async function read(kind: string, name: string): Promise<KubeObject> {
  return JSON.parse(await kubectl("get", kind, name, "-o", "json")) as KubeObject;
}

async function conditionOf(what: string, type: string): Promise<string> {
  return await kubectl(
    ...["get", what, "-o"],
    `jsonpath={range .status.conditions[?(@.type=="${type}")]}{.status} {.reason}{end}`,
  );
}

/** Every pod runs what was last asked for. */
async function settled(): Promise<void> {
  await vi.waitFor(
    async () => expect(await conditionOf("smtprelay/mail", "ConfigApplied")).toBe("True AllReplicas"),
    soon,
  );
}

async function pause(): Promise<void> {
  await patch("smtprelay/mail", { paused: true });
  await vi.waitFor(async () => expect(await conditionOf("smtprelay/mail", "Paused")).toMatch(/^True /), soon);
  await settled();
}

/** Who the pods are and how often their containers started anew. */
async function pods(): Promise<string> {
  return await kubectl(
    ...["get", "pods", "-l", "smtprelay.dev/relay=mail", "-o"],
    'jsonpath={range .items[*]}{.metadata.name} {.metadata.uid} {.status.containerStatuses[0].restartCount}{"\\n"}{end}',
  );
}

const podNames = async () =>
  (await pods())
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => line.split(" ")[0]);

/** An application in the cluster: all it knows is the Secret; the name resolves to the Service. */
async function submit(subject: string, from = "app@example.test"): Promise<string> {
  const text = async (secret: string, key: string) => {
    const data = (await read("secret", secret))["data"] as Record<string, string>;
    return Buffer.from(data[key] ?? "", "base64").toString();
  };
  const { clusterIP } = (await read("service", "mail"))["spec"] as { clusterIP: string };
  const transport = createTransport({
    host: clusterIP,
    port: 587,
    requireTLS: true,
    auth: { user: await text("mail-app", "username"), pass: await text("mail-app", "password") },
    tls: { ca: await text("mail-tls-self-signed", "tls.crt"), servername: "mail.example.test" },
  });
  try {
    const sent = await transport.sendMail({ from, to: `someone@${INBOX}`, subject, text: "hello" });
    return sent.response;
  } finally {
    transport.close();
  }
}

/** Of alerts, whose commands look; the others are procedures that change something. */
function alertPages(): readonly string[] {
  const folder = join(import.meta.dirname, "../../docs/runbooks");
  return readdirSync(folder)
    .filter((name) => name.startsWith("SmtpRelay"))
    .map((name) => readFileSync(join(folder, name), "utf8"));
}

/** As a shell takes it apart: quotes keep a word together. */
const wordsOf = (command: string) =>
  (command.match(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g) ?? []).map((word) => word.replaceAll(/'([^']*)'/g, "$1"));

const arrival = (subject: string) =>
  outside.arrivals.find(({ content }) => content.toString().includes(`Subject: ${subject}\r\n`));

async function arrived(subject: string) {
  return await vi.waitFor(() => {
    const found = arrival(subject);
    if (found === undefined)
      throw new Error(`${subject} has not come: ${outside.arrivals.length} others have`);
    return found;
  }, soon);
}

test("Helm installs the operator, without values but for the image", async () => {
  await installOperator(cluster);

  expect(await kubectl("get", "crds", "-o", "name")).toContain("smtprelays.smtprelay.dev");
});

test("the quickstart's manifests make ready pods, and status says which records to publish", async () => {
  await apply(exampleManifests);

  await vi.waitFor(async () => expect(await publishRecords(cluster, outside)).toBe(true), soon);
  await vi.waitFor(async () => expect(await podNames()).toEqual(["mail-0", "mail-1"]), soon);
  await kubectl("wait", "--for=condition=Ready", "pod/mail-0", "pod/mail-1", "--timeout=60s");
});

test("with its records published, everything becomes Ready", async () => {
  await kubectl("wait", "--for=condition=Ready", "ippool/default", "--timeout=100s");
  await kubectl("wait", "--for=condition=Ready", "sendingdomain/example.test", "--timeout=100s");
  const said = await kubectl("wait", "--for=condition=Ready", "smtprelay/mail", "--timeout=100s");

  expect(said).toContain("condition met");
  await settled();
}, 310_000);

test("mail handed to the Service with password and TLS is delivered, signed twice, over TLS", async () => {
  expect(await submit("first")).toMatch(/^250 /);

  const mail = await arrived("first");
  expect(mail).toMatchObject({ from: "app@example.test", to: [`someone@${INBOX}`], overTls: true });
  expect(mail.ehlo).toMatch(/^[ab]\.mail\.example\.test$/);
  expect(await outside.verify(mail)).toEqual([
    expect.stringMatching(/^e\d+: pass$/),
    expect.stringMatching(/^r\d+: pass$/),
  ]);
});

test("every command of the chart's notes runs as it stands, and helm test among them finds all well", async () => {
  const notes = await cluster.helm(["get", "notes", OPERATOR, "-n", OPERATOR_NAMESPACE]);
  const commands = notes
    .split("\n")
    .filter((line) => /^ {2}(kubectl|helm) /.test(line))
    .map((line) => line.replace(/ +#.*/, "").trim().split(/ +/))
    .map((words) =>
      words.map((word) =>
        word
          .replace(/^NAMESPACE$/, "default")
          .replace(/^NAME$/, "example.test")
          .replace(/^RELAY-/, "mail-"),
      ),
    );
  const said = new Map<string, string>();
  for (const [program, ...words] of commands)
    said.set(words.join(" "), program === "helm" ? await cluster.helm(words) : await cluster.kubectl(words));

  const tested = said.get(`test ${OPERATOR} -n ${OPERATOR_NAMESPACE}`);
  expect(tested).toMatch(/^Phase: +Succeeded$/m);
  expect(tested).not.toContain("Failed");
  expect(said.get("-n default get sendingdomain example.test -o yaml")).toContain("expected: v=DKIM1");
  expect(said.get("-n default get secret mail-app -o yaml")).toContain("  password: ");
  expect(said.get("-n default exec mail-0 -- smtp-relay queue")).toContain("empty");
  expect(said.size).toBe(7);
});

test("who may view a namespace sees the three kinds and no password; who may edit it edits them, but no status", async () => {
  for (const role of ["view", "edit"])
    await kubectl("create", "rolebinding", `${role}er`, `--clusterrole=${role}`, `--user=${role}er`);
  const as = async (user: string, ...words: string[]) =>
    await cluster.kubectl([...words, `--as=${user}`]).then(
      () => "done",
      (error: Error) => (/\(Forbidden\)/.test(error.message) ? "forbidden" : error.message),
    );
  // The roles are gathered by a controller, and rights follow them after a moment.
  await expect.poll(async () => await as("viewer", "get", "smtp"), soon).toBe("done");
  await expect
    .poll(async () => await as("editer", "delete", "smtprelay/mail", "--dry-run=server"), soon)
    .toBe("done");
  const edits = {
    "ippool/default": { warmup: { ramp: "Conservative" } },
    "sendingdomain/example.test": { spf: { policy: "Fail" } },
    "smtprelay/mail": { paused: true },
  };
  for (const [what, spec] of Object.entries(edits)) {
    const merge = ["patch", what, "--type=merge", "--dry-run=server", "-p"];
    const status = JSON.stringify({ status: { observedGeneration: 7 } });
    expect([what, await as("viewer", "get", what), await as("editer", "get", what)]).toEqual([
      what,
      "done",
      "done",
    ]);
    expect(await as("viewer", ...merge, JSON.stringify({ spec }))).toBe("forbidden");
    expect(await as("editer", ...merge, JSON.stringify({ spec }))).toBe("done");
    expect(await as("editer", ...merge, status, "--subresource=status")).toBe("forbidden");
  }
  const scale = ["scale", "smtprelay/mail", "--replicas=3", "--dry-run=server"];
  expect([await as("viewer", ...scale), await as("editer", ...scale)]).toEqual(["forbidden", "done"]);
  expect(await as("viewer", "get", "secret/mail-app")).toBe("forbidden");
});

test("kubectl get smtp tells it", async () => {
  await vi.waitFor(async () => {
    const table = await kubectl("get", "smtp", "--no-headers");
    expect(table).toMatch(/^ippool.smtprelay.dev\/default +True +2\/2 +day 1\/14 +1\/400 /m);
    expect(table).toMatch(
      /^sendingdomain.smtprelay.dev\/example.test +True +example.test +r\d+,e\d+ +Verified /m,
    );
    expect(table).toMatch(/^smtprelay.smtprelay.dev\/mail +True +2\/2 +0 /m);
  }, late);
});

test("an edit of each kind arrives without a restart of a pod", async () => {
  const before = await pods();

  await pause();
  await submit("held");
  expect(arrival("held")).toBeUndefined();
  await patch("smtprelay/mail", { paused: false });
  await arrived("held");

  const { spec } = (await read("ippool", "default")) as KubeObject & { spec: { addresses: object[] } };
  const [a, b] = spec.addresses;
  outside.dns.set("c.mail.example.test", { A: ["192.0.2.11"] });
  outside.dns.set("11.2.0.192.in-addr.arpa", { PTR: ["c.mail.example.test"] });
  await patch("ippool/default", {
    addresses: [
      { ...a, state: "Paused" },
      { ...b, ehloName: "c.mail.example.test" },
    ],
  });
  await vi.waitFor(async () => {
    const subject = `moved ${outside.arrivals.length}`;
    await submit(subject);
    expect((await arrived(subject)).ehlo).toBe("c.mail.example.test");
  }, late);

  await patch("sendingdomain/example.test", { spf: { policy: "Fail" } });
  await vi.waitFor(async () => {
    const { status } = (await read("sendingdomain", "example.test")) as KubeObject & {
      status: { observedGeneration: number; records: { purpose: string; expected: string }[] };
    };
    expect(status.records.find(({ purpose }) => purpose === "Spf")?.expected).toMatch(/ -all$/);
  }, soon);

  expect(await pods()).toBe(before);
}, 300_000);

const subjects = Array.from({ length: 12 }, (_, index) => `before scaling ${index}`);

test("while mail waits, every command of the alerts' pages runs as it stands", async () => {
  outside.dns.set("11.2.0.192.in-addr.arpa", { PTR: ["b.mail.example.test"] });
  await apply(exampleManifests);
  await pause();
  for (const subject of subjects) await submit(subject);
  const queues = await Promise.all(
    ["mail-0", "mail-1"].map(async (pod) => ({
      pod,
      id: /\b01[0-9A-Z]{24}\b/.exec(await kubectl("exec", pod, "--", "smtp-relay", "queue", "--ids"))?.[0],
    })),
  );
  const { pod = "", id = "" } = queues.find((one) => one.id !== undefined) ?? {};
  const names: Readonly<Record<string, string>> = {
    NAMESPACE: "default",
    RELAY: "mail",
    POD: pod,
    POOL: "default",
    DOMAIN: "example.test",
    ID: id,
    [`-n ${OPERATOR}`]: `-n ${OPERATOR_NAMESPACE}`,
    [`serviceaccount:${OPERATOR}`]: `serviceaccount:${OPERATOR_NAMESPACE}`,
  };
  const place = new RegExp(
    Object.keys(names)
      .map((name) => `(?<![\\w-])${name}\\b`)
      .join("|"),
    "g",
  );
  const commands = new Set(
    alertPages()
      .flatMap((page) => page.match(/^ *kubectl .+$/gm) ?? [])
      .map((line) =>
        // What comes after a pipe only shortens what was said.
        line
          .replace(/ +#.*| \| .*/, "")
          .trim()
          .replaceAll(place, (name) => names[name] ?? name),
      ),
  );

  expect(commands.size).toBeGreaterThan(30);
  const failures = await Promise.all(
    [...commands].map(async (command) =>
      cluster.kubectl(wordsOf(command).slice(1)).then(
        () => [],
        (error: Error) => [`${command}: ${error.message}`],
      ),
    ),
  );
  expect(failures.flat()).toEqual([]);
}, 200_000);

test("scaled down, a pod leaves when its mail has left, and its volume stays", async () => {
  await kubectl("scale", "smtprelay/mail", "--replicas=1");
  await vi.waitFor(
    async () => expect(await conditionOf("smtprelay/mail", "Draining")).toMatch(/^True /),
    soon,
  );
  expect(await podNames()).toEqual(["mail-0", "mail-1"]);
  await patch("smtprelay/mail", { paused: false });

  for (const subject of subjects) await arrived(subject);
  await vi.waitFor(async () => expect(await podNames()).toEqual(["mail-0"]), late);
  expect(await kubectl("get", "pvc", "-o", "name")).toContain("spool-mail-1");
  await kubectl("wait", "--for=condition=Ready", "smtprelay/mail", "--timeout=60s");
  await vi.waitFor(
    async () => expect(await kubectl("get", "smtprelay/mail", "--no-headers")).toMatch(/ True +1\/1 +0 /),
    late,
  );
}, 400_000);

test("scaled up again, the pod comes back to its volume and sends", async () => {
  const volume = await kubectl("get", "pvc/spool-mail-1", "-o", "jsonpath={.spec.volumeName}");
  await kubectl("scale", "smtprelay/mail", "--replicas=2");
  await vi.waitFor(
    async () => expect(await kubectl("get", "smtprelay/mail", "--no-headers")).toMatch(/ True +2\/2 /),
    late,
  );

  expect(await kubectl("get", "pvc/spool-mail-1", "-o", "jsonpath={.spec.volumeName}")).toBe(volume);
  // Each pod has one of the two addresses, and the Service picks pods by chance.
  await vi.waitFor(async () => {
    const subject = `of two ${outside.arrivals.length}`;
    await submit(subject);
    expect((await arrived(subject)).ehlo).toBe("b.mail.example.test");
  }, late);
}, 300_000);

/** Plays the secondary network: puts an address on the pod's interface, or takes it away. */
async function wire(verb: "add" | "del", pod: string, address: string): Promise<void> {
  const [process] = await cluster.podProcesses("default", pod);
  const inPod = ["--target", String(process?.pid), "--net", "ip", "address", verb];
  await runProgram("nsenter", [...inPod, `${address}/32`, "dev", "eth0"]);
  // Replies find their way back; the route goes with the bridge.
  await runProgram("ip", ["route", "replace", `${address}/32`, "dev", BRIDGE]);
}

test("mail leaves from the addresses that a pod's network has brought it, and follows them to another pod", async () => {
  const [a, b] = ["192.0.2.10", "192.0.2.11"];
  const whose = async () =>
    await kubectl(
      ...["get", "ippool/default", "-o"],
      "jsonpath={range .status.addresses[*]}{.name}: {.pods} {end}",
    );
  /** Until the pods have loaded what was decided, mail leaves as it did before. */
  const leaves = async (ehlo: string, address: string) =>
    await vi.waitFor(async () => {
      const subject = `bound ${outside.arrivals.length}`;
      await submit(subject);
      const mail = await arrived(subject);
      expect([mail.ehlo, mail.address]).toEqual([ehlo, address]);
    }, late);
  // Not as ordinals would have it.
  await wire("add", "mail-0", b);
  await wire("add", "mail-1", a);
  await patch("ippool/default", { egress: "Bound" });
  await vi.waitFor(async () => {
    expect(await whose()).toBe('a: ["default/mail-1"] b: ["default/mail-0"] ');
    expect(await conditionOf("ippool/default", "AddressesBound")).toBe("True AddressesPresent");
  }, late);
  await leaves("a.mail.example.test", a);
  await leaves("b.mail.example.test", b);

  // Both leave by the pod that has them. What the other one took waits in it, and leaves when it may.
  const before = outside.arrivals.length;
  await wire("del", "mail-0", b);
  await wire("add", "mail-1", b);
  await vi.waitFor(
    async () => expect(await whose()).toBe('a: ["default/mail-1"] b: ["default/mail-1"] '),
    late,
  );
  const said = ["get", "ippool/default", "-o"];
  const bound = 'jsonpath={.status.conditions[?(@.type=="AddressesBound")].message}';
  await vi.waitFor(
    async () =>
      expect(await kubectl(...said, bound)).toBe(
        "default/mail-0 has none of the addresses: mail for this pool waits there.",
      ),
    late,
  );
  await vi.waitFor(async () => {
    await submit(`moved ${outside.arrivals.length}`);
    expect(outside.arrivals.slice(before).map(({ address }) => address)).toContain(b);
  }, late);
  await patch("ippool/default", { egress: "Translated" });
  await settled();
}, 600_000);

test("deleted and made again, keys are the same and mail that waited is sent", async () => {
  await pause();
  await submit("kept");
  const keys = (await read("secret", "example.test-dkim"))["data"];

  await cluster.kubectl(["delete", "-f", "-", "--timeout=60s"], { input: exampleManifests });
  await vi.waitFor(async () => expect(await podNames()).toEqual([]), late);
  expect((await read("secret", "example.test-dkim"))["data"]).toEqual(keys);
  expect(arrival("kept")).toBeUndefined();

  await apply(exampleManifests);
  await kubectl("wait", "--for=condition=Ready", "smtprelay/mail", "--timeout=110s");
  const mail = await arrived("kept");
  expect(await outside.verify(mail)).toEqual([
    expect.stringMatching(/^e\d+: pass$/),
    expect.stringMatching(/^r\d+: pass$/),
  ]);
  expect((await read("secret", "example.test-dkim"))["data"]).toEqual(keys);
}, 400_000);

test("uninstalled, relays run on, and kinds, objects and keys stay", async () => {
  await kubectl("wait", "--for=condition=Ready", "smtprelay/mail", "--timeout=60s");
  const before = await pods();
  await cluster.helm(["uninstall", OPERATOR, "-n", OPERATOR_NAMESPACE, "--wait", "--timeout=90s"]);

  await submit("on their own");
  await arrived("on their own");
  expect(await kubectl("get", "smtp", "-o", "name")).toContain("smtprelay.smtprelay.dev/mail");
  expect(await pods()).toBe(before);
}, 200_000);
