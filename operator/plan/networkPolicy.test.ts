import { expect, test } from "vitest";

import { anEnvironment, aRelay } from "../../test/support/builders.ts";
import { networkPolicy } from "./networkPolicy.ts";

const tcp = (port: number) => ({ protocol: "TCP", port });

test("mail comes in from anywhere and leaves to receivers and smart hosts; nothing else is open", () => {
  const smarthost = { host: "mx.partner.example", port: 2587, tls: "Verify" as const };
  const relay = aRelay({ spec: { routes: [{ name: "rest", to: { smarthost } }] } });

  expect(networkPolicy(relay, anEnvironment({ operatorNamespace: "smtp-system" }))["spec"]).toEqual({
    podSelector: {
      matchLabels: {
        "app.kubernetes.io/name": "smtp-relay",
        "app.kubernetes.io/instance": "mail",
        "app.kubernetes.io/component": "relay",
      },
    },
    policyTypes: ["Ingress", "Egress"],
    ingress: [
      { ports: [tcp(1587), tcp(1465)] },
      {
        ports: [tcp(8025)],
        from: [
          { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "smtp-system" } } },
          { namespaceSelector: { matchLabels: { "smtprelay.dev/metrics": "allowed" } } },
        ],
      },
    ],
    egress: [{ ports: [{ protocol: "UDP", port: 53 }, tcp(53)] }, { ports: [tcp(25), tcp(2587)] }],
  });
});

test("an operator outside the cluster may still ask for reports", () => {
  expect(networkPolicy(aRelay(), anEnvironment())["spec"]).toMatchObject({
    ingress: [expect.anything(), { ports: [tcp(8025)] }],
  });
});

test("resolvers on a port of their own are reachable, IPv6 ones too", () => {
  const environment = anEnvironment({ dnsServers: ["192.0.2.53:5353", "[2001:db8::53]:53"] });

  expect(networkPolicy(aRelay(), environment)["spec"]).toMatchObject({
    egress: [
      { ports: [{ protocol: "UDP", port: 53 }, tcp(53), { protocol: "UDP", port: 5353 }, tcp(5353)] },
      { ports: [tcp(25)] },
    ],
  });
});
