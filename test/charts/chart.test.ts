/** The chart as Helm makes it: what is there by default, what flags add, and what it refuses. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { isHook, manifestsOf } from "../../charts/kustomizeBase.ts";
import { readRunCommand } from "../../operator/cluster/commandLine.ts";
import { DEFAULT_METRICS_PORT } from "../../operator/cluster/commandLine.ts";
import { podSelector } from "../../operator/plan/labels.ts";
import { resources } from "../../operator/resources.ts";
import { STATUS_PORT } from "../../relay/contract/endpoints.ts";
import {
  allOnValues,
  chartFolder,
  failure,
  optionalProgram,
  release,
  repository,
  run,
  template,
} from "../support/charts/helm.ts";

interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}
interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Record<string, string>;
    readonly labels?: Record<string, string>;
  };
  readonly rules?: readonly Rule[];
  readonly spec?: unknown;
  readonly data?: Record<string, string>;
}

const found = optionalProgram("helm", "the chart's tests");
const helm = found ?? "";

describe.skipIf(found === undefined)("the chart", () => {
  const rendered = (...flags: string[]) => manifestsOf(template(helm, ...flags)) as readonly Manifest[];
  const byDefault = found === undefined ? [] : rendered();
  const allOn = found === undefined ? [] : rendered("--values", allOnValues);
  const named = (manifests: readonly Manifest[], kind: string) =>
    manifests.filter((one) => one.kind === kind && !isHook(one));
  const only = (manifests: readonly Manifest[], kind: string): Manifest => {
    const [first, ...others] = named(manifests, kind);
    if (first === undefined || others.length > 0) throw new Error(`Cannot find the one ${kind}`);
    return first;
  };

  test.each([[[]], [["--values", allOnValues]]])("passes Helm's own checks with %j", (flags) => {
    const ended = run(helm, ["lint", "--strict", chartFolder, ...flags]);

    expect(failure(ended)).toBe("");
  });

  test("makes the same again: nothing in it is drawn by chance", () => {
    expect(template(helm)).toBe(template(helm));
  });

  test("by default has no object that needs somebody else's CRDs", () => {
    const kinds = [...new Set(byDefault.filter((one) => !isHook(one)).map(({ kind }) => kind))].toSorted();

    expect(kinds).toEqual([
      "ClusterRole",
      "ClusterRoleBinding",
      "CustomResourceDefinition",
      "Deployment",
      "Role",
      "RoleBinding",
      "Service",
      "ServiceAccount",
    ]);
  });

  test("keeps the CRDs on uninstall, unless told otherwise, and leaves them out on wish", () => {
    const keeps = (manifests: readonly Manifest[]) =>
      named(manifests, "CustomResourceDefinition").map(
        ({ metadata }) => metadata.annotations?.["helm.sh/resource-policy"],
      );

    expect(keeps(byDefault)).toEqual(["keep", "keep", "keep"]);
    expect(keeps(rendered("--set", "crds.keep=false"))).toEqual([undefined, undefined, undefined]);
    expect(keeps(rendered("--set", "crds.enabled=false"))).toEqual([]);
  });

  test("gives rights to every resource the operator knows, and to nothing else", () => {
    const { rules = [] } = only(
      byDefault.filter(({ metadata }) => !/-(view|edit|admin)$/.test(metadata.name)),
      "ClusterRole",
    );
    const granted = rules.flatMap((rule) =>
      rule.resources.map((resource) => `${rule.apiGroups.join()}/${resource}: ${rule.verbs.join(" ")}`),
    );
    const follow = "list watch";
    const write = `${follow} create patch`;
    const verbs: Record<keyof typeof resources, string> = {
      smtpRelays: follow,
      sendingDomains: follow,
      ipPools: follow,
      secrets: `get ${write} delete`,
      services: write,
      serviceAccounts: write,
      pods: follow,
      statefulSets: write,
      disruptionBudgets: write,
      networkPolicies: write,
    };
    const path = ({ apiVersion, plural }: { apiVersion: string; plural: string }) =>
      `${apiVersion.includes("/") ? apiVersion.split("/")[0] : ""}/${plural}`;

    expect(granted.toSorted()).toEqual(
      [
        ...Object.entries(resources).map(
          ([key, type]) => `${path(type)}: ${verbs[key as keyof typeof verbs]}`,
        ),
        ...["smtprelays", "sendingdomains", "ippools"].map((kind) => `smtprelay.dev/${kind}/status: patch`),
        "events.k8s.io/events: create patch",
        ...["smtprelays", "sendingdomains"].map((kind) => `smtprelay.dev/${kind}/finalizers: update`),
      ].toSorted(),
    );
  });

  test("with namespaces named it has no right outside them but its own Lease", () => {
    const bound = (kind: string) => named(allOn, kind).map(({ metadata }) => metadata.namespace ?? "");

    expect(bound("Role").toSorted()).toEqual(["mail", "news", release]);
    expect(bound("RoleBinding").toSorted()).toEqual(["mail", "news", release]);
    expect(named(allOn, "ClusterRoleBinding")).toEqual([]);
    expect(named(allOn, "ClusterRole").map(({ metadata }) => metadata.name)).toEqual([
      `${release}-admin`,
      `${release}-edit`,
      `${release}-view`,
    ]);
    const lease = named(allOn, "Role").find(({ metadata }) => metadata.namespace === release);
    expect(lease?.rules).toEqual([
      {
        apiGroups: ["coordination.k8s.io"],
        resources: ["leases"],
        resourceNames: [release],
        verbs: ["get", "create", "patch"],
      },
    ]);
  });

  test.each([
    [
      "by default",
      () => byDefault,
      { namespaces: null, logLevel: "info", relayImage: "smtp-relay-operator:0.1.0" },
    ],
    [
      "with all values",
      () => allOn,
      { namespaces: ["mail", "news"], logLevel: "debug", relayImage: "registry.example.com/relay:1" },
    ],
  ])(
    "%s runs the operator with words it understands, on the port that is probed",
    (_, manifests, options) => {
      const { spec } = only(manifests(), "Deployment") as unknown as {
        spec: { template: { spec: { containers: { args: string[]; ports: object[] }[] } } };
      };
      const [container] = spec.template.spec.containers;

      expect(container?.args[0]).toBe("run");
      expect(readRunCommand(container?.args.slice(1) ?? [])).toMatchObject({
        kind: "run",
        options: {
          leaderElect: true,
          leaseName: release,
          leaseNamespace: null,
          metricsPort: DEFAULT_METRICS_PORT,
          ...options,
        },
      });
      expect(container?.ports).toEqual([
        { name: "metrics", containerPort: DEFAULT_METRICS_PORT, protocol: "TCP" },
      ]);
    },
  );

  test("every pod obeys the restricted pod security standard", () => {
    const pods = [
      ...allOn.filter(({ kind }) => kind === "Pod").map(({ spec }) => spec),
      ...named(allOn, "Deployment").map(
        ({ spec }) => (spec as { template: { spec: unknown } }).template.spec,
      ),
    ];

    expect(pods).toHaveLength(2);
    for (const pod of pods) {
      expect(pod).toMatchObject({
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 65_532,
          seccompProfile: { type: "RuntimeDefault" },
        },
        containers: [
          {
            securityContext: {
              allowPrivilegeEscalation: false,
              readOnlyRootFilesystem: true,
              capabilities: { drop: ["ALL"] },
            },
          },
        ],
      });
    }
  });

  test("what scrapes and lets through relays looks for the labels and the port they have", () => {
    const selector = { "app.kubernetes.io/name": "smtp-relay", "app.kubernetes.io/component": "relay" };
    const { "app.kubernetes.io/instance": _instance, ...ofEveryRelay } = podSelector("mail");

    expect(selector).toEqual(ofEveryRelay);
    expect(only(allOn, "PodMonitor").spec).toMatchObject({
      selector: { matchLabels: selector },
      namespaceSelector: { matchNames: ["mail", "news"] },
    });
    expect(only(allOn, "NetworkPolicy").spec).toMatchObject({
      egress: expect.arrayContaining([
        {
          to: [{ namespaceSelector: {}, podSelector: { matchLabels: selector } }],
          ports: [{ port: STATUS_PORT, protocol: "TCP" }],
        },
      ]) as unknown,
    });
  });

  test("helm test reaches the operator also where the metrics are for some only", () => {
    const { labels = {} } = allOn.find(({ kind }) => kind === "Pod")?.metadata ?? {};
    const { ingress } = only(allOn, "NetworkPolicy").spec as {
      ingress: { from: { podSelector?: { matchLabels: Record<string, string> } }[] }[];
    };

    const selectors = ingress.flatMap(({ from }) => from.flatMap(({ podSelector }) => podSelector ?? []));
    expect(selectors).toHaveLength(1);
    expect(labels).toMatchObject(selectors[0]?.matchLabels ?? {});
  });

  test("a disruption budget is made for two operators, and not for one, which it would only hold fast", () => {
    expect(named(allOn, "PodDisruptionBudget")).toHaveLength(1);
    expect(named(byDefault, "PodDisruptionBudget")).toHaveLength(0);
  });

  test("the edit role cannot write status, and the view role cannot write", () => {
    const rules = (name: string) =>
      named(byDefault, "ClusterRole").find(({ metadata }) => metadata.name === `${release}-${name}`)?.rules ??
      [];

    expect(rules("view").flatMap(({ verbs }) => verbs)).toEqual(["get", "list", "watch"]);
    expect(rules("edit").flatMap((rule) => rule.resources)).not.toContain("smtprelays/status");
    expect(rules("admin").flatMap((rule) => rule.resources)).not.toContain("smtprelays/status");
  });

  test.each([
    ["an unknown value", ["--set", "replcas=2"], "replcas"],
    ["an unknown value in a group", ["--set", "crds.enable=true"], "enable"],
    ["more than two operators", ["--set", "replicas=3"], "replicas"],
    ["a word for a flag", ["--set-string", "crds.keep=yes"], "keep"],
    ["a namespace that cannot be one", ["--set", "watchNamespaces={Mail}"], "watchNamespaces"],
    ["a digest that is none", ["--set", "image.digest=sha256:12"], "digest"],
    ["an unknown log level", ["--set", "logLevel=loud"], "logLevel"],
    ["a limit that is no quantity", ["--set", "resources.limits.memory=lots"], "memory"],
  ])("refuses %s, and names it", (_, flags, word) => {
    expect(() => template(helm, ...flags)).toThrow(word);
  });

  test("a chart above may hand its globals down", () => {
    expect(() => template(helm, "--set", "global.region=north")).not.toThrow();
  });

  test("names stay within Kubernetes' bound, however long the release's is", () => {
    const long = "r".repeat(53);
    const ended = run(helm, ["template", long, chartFolder, "--namespace", "n".repeat(63)]);

    expect(failure(ended)).toBe("");
    const tooLong = manifestsOf(ended.stdout)
      // Names of roles may have any length that a path may have.
      .filter(({ kind }) => !/^(Cluster)?Role(Binding)?$/.test(kind))
      .filter(({ metadata }) => metadata.name.length > 63);
    expect(tooLong).toEqual([]);
  });

  test("each template file makes objects of one kind", () => {
    const sources = template(helm, "--values", allOnValues)
      .split(/^---\n/m)
      .map(
        (text) => [/^# Source: (.+)$/m.exec(text)?.[1] ?? "", /^kind: (.+)$/m.exec(text)?.[1] ?? ""] as const,
      )
      .filter(([source]) => source !== "");

    expect(sources.length).toBeGreaterThan(15);
    const kinds = new Map<string, Set<string>>();
    for (const [source, kind] of sources) kinds.set(source, (kinds.get(source) ?? new Set()).add(kind));
    expect([...kinds].filter(([, { size }]) => size !== 1)).toEqual([]);
  });

  test("the chart, config/ and their values are what charts/generate.ts makes", () => {
    const ended = run(process.execPath, [join(repository, "charts/generate.ts"), "--check", "--helm", helm]);

    expect(failure(ended)).toBe("");
    expect(ended.stderr).toBe("");
  });

  test("config/ has every object Helm makes by default, and no other", () => {
    const committed = readdirSync(join(repository, "config"), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".yaml") && !path.endsWith("kustomization.yaml"))
      .flatMap((path) => manifestsOf(readFileSync(join(repository, "config", path), "utf8")));
    const names = (manifests: readonly { kind: string; metadata: { name: string } }[]) =>
      manifests.map(({ kind, metadata }) => `${kind} ${metadata.name}`).toSorted();

    expect(names(committed)).toEqual(
      [...names(byDefault.filter((one) => !isHook(one))), `Namespace ${release}`].toSorted(),
    );
  });

  const kubectl = optionalProgram("kubectl", "building config/");
  test.skipIf(kubectl === undefined)("kubectl builds config/ into the same roles, pods and rights", () => {
    const built = run(kubectl ?? "", ["kustomize", "config"]);

    expect(failure(built)).toBe("");
    const bodies = (manifests: readonly Manifest[]) =>
      Object.fromEntries(
        manifests
          .filter((one) => one.kind !== "Namespace" && !isHook(one))
          .map(({ metadata, ...body }) => [
            `${body.kind} ${metadata.namespace ?? ""}/${metadata.name}`,
            body,
          ]),
      );
    expect(bodies(manifestsOf(built.stdout) as readonly Manifest[])).toEqual(bodies(byDefault));
  });
});
