import { expect, test } from "vitest";

import type { SmtpRelay } from "../../crds/kinds.ts";
import { aRelay } from "../../test/support/builders.ts";
import { disruptionBudget } from "./disruptionBudget.ts";
import { containerResources } from "./podTemplate.ts";
import { statefulSet } from "./statefulSet.ts";

type PodTemplate = NonNullable<SmtpRelay["spec"]["podTemplate"]>;
const resourcesOf = (resources: PodTemplate["resources"]) =>
  containerResources(aRelay({ spec: { podTemplate: { resources } } }));

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
  const spec = (statefulSet(relay, "image", 2)["spec"] as { template: { spec: unknown } }).template.spec;

  expect(spec).toMatchObject({
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

test("nodes are drained one relay pod at a time, and a pod that is not ready holds no drain up", () => {
  expect(disruptionBudget(aRelay())["spec"]).toMatchObject({
    maxUnavailable: 1,
    unhealthyPodEvictionPolicy: "AlwaysAllow",
  });
});
