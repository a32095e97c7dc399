import { expect, test } from "vitest";

import type { SmtpRelay } from "../../crds/kinds.ts";
import { aRelay } from "../../test/support/builders.ts";
import { disruptionBudget } from "./disruptionBudget.ts";
import { containerResources } from "./podTemplate.ts";
import { serviceAccount } from "./serviceAccount.ts";
import { statefulSet } from "./statefulSet.ts";

type PodTemplate = NonNullable<SmtpRelay["spec"]["podTemplate"]>;
const resourcesOf = (resources: PodTemplate["resources"]) =>
  containerResources(aRelay({ spec: { podTemplate: { resources } } }));
const podOf = (relay: SmtpRelay) =>
  (statefulSet(relay, "image", 2)["spec"] as { template: { metadata: object; spec: object } }).template;

test("by default a pod asks for what an idle relay was measured to need, and some room", () => {
  expect(containerResources(aRelay())).toEqual({
    requests: { cpu: "100m", memory: "192Mi" },
    limits: { memory: "512Mi" },
  });
});

test("quantities are written as the API server writes them, or each pass would write again", () => {
  expect(
    resourcesOf({ requests: { cpu: "2000m", memory: "1024Mi" }, limits: { cpu: "2500m", memory: "1536Mi" } }),
  ).toEqual({ requests: { cpu: "2", memory: "1Gi" }, limits: { cpu: "2500m", memory: "1536Mi" } });
});

test("no default contradicts what the owner wrote", () => {
  expect(resourcesOf({ requests: { memory: "2Gi" } })).toMatchObject({ limits: { memory: "2Gi" } });
  expect(resourcesOf({ limits: { cpu: "50m", memory: "128Mi" } })).toEqual({
    requests: { cpu: "50m", memory: "128Mi" },
    limits: { cpu: "50m", memory: "128Mi" },
  });
});

test("pods run unprivileged and without a token, and go where they are told", () => {
  const tolerations = [{ key: "mail", operator: "Exists" as const }];
  const relay = aRelay({ spec: { podTemplate: { tolerations, priorityClassName: "mail" } } });

  expect(podOf(relay).spec).toMatchObject({
    automountServiceAccountToken: false,
    tolerations,
    priorityClassName: "mail",
    securityContext: { runAsNonRoot: true, runAsUser: 65_532, runAsGroup: 65_532, fsGroup: 65_532 },
    containers: [
      {
        resources: { requests: { memory: "192Mi" } },
        securityContext: { readOnlyRootFilesystem: true, capabilities: { drop: ["ALL"] } },
      },
    ],
  });
});

test("the pods have an account of their own that is bound to nothing and mounts nothing", () => {
  const [account] = serviceAccount(aRelay());
  const spec = podOf(aRelay()).spec;

  expect(account).toMatchObject({
    kind: "ServiceAccount",
    metadata: { name: "mail", ownerReferences: [{ kind: "SmtpRelay", name: "mail" }] },
    automountServiceAccountToken: false,
  });
  expect(spec).toMatchObject({ serviceAccountName: "mail", automountServiceAccountToken: false });
  expect(spec).not.toHaveProperty("imagePullSecrets");
});

test("pods run as the account their owner names, which is left to its owner, and still without its token", () => {
  const relay = aRelay({ spec: { podTemplate: { serviceAccountName: "with-registry" } } });

  expect(serviceAccount(relay)).toEqual([]);
  expect(podOf(relay).spec).toMatchObject({
    serviceAccountName: "with-registry",
    automountServiceAccountToken: false,
  });
});

test("pods carry the annotations, pull secrets and node labels they are given", () => {
  const annotations = { "k8s.v1.cni.cncf.io/networks": "mail-net" };
  const nodeSelector = { "example.com/mail": "yes" };
  const imagePullSecrets = [{ name: "registry" }];
  const { metadata, spec } = podOf(
    aRelay({ spec: { podTemplate: { annotations, nodeSelector, imagePullSecrets } } }),
  );

  expect(metadata).toMatchObject({ annotations });
  expect(spec).toMatchObject({ nodeSelector, imagePullSecrets });
  expect(podOf(aRelay()).metadata).not.toHaveProperty("annotations");
});

test("nodes are drained one relay pod at a time, and a pod that is not ready holds no drain up", () => {
  expect(disruptionBudget(aRelay())["spec"]).toMatchObject({
    maxUnavailable: 1,
    unhealthyPodEvictionPolicy: "AlwaysAllow",
  });
});
