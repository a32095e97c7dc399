import { expect, test } from "vitest";

import { certificateFiles, receivingConfig } from "../../test/support/receiving.ts";
import type { RelayConfig } from "../contract/config.ts";
import type { ConfigFiles } from "./check.ts";
import { describeDiff, diffConfig } from "./diff.ts";

function applied(changes: Partial<RelayConfig> = {}, files: ConfigFiles = certificateFiles) {
  const config = receivingConfig(changes);
  const pod = config.pods[0];
  if (pod === undefined) throw new Error("no pod");
  return { config, pod, files };
}
const described = (changes: Partial<RelayConfig>, files?: ConfigFiles) =>
  describeDiff(diffConfig(applied(), applied(changes, files)));

test("nothing changed is nothing, whatever the revision says", () => {
  expect(described({ revision: "2" })).toBe("nothing");
});

test("the first configuration adds everything", () => {
  expect(describeDiff(diffConfig(null, applied()))).toBe(
    "listeners +submission (587, StartTls) +submissions (465, Implicit) +internal (2525, StartTls); " +
      "credentials +app +all; domains +example.com +crm.example.com +held.example; routes +all; certificate; " +
      "relay; paused; limits; queue; tlsOutbound; dns; delivery; privacy; pod.state",
  );
});

test("each part is told by what came, went and changed", () => {
  const { listeners, credentials, domains } = receivingConfig();
  const [submission, submissions] = listeners;
  const [app] = credentials;
  const [example] = domains;
  if (submission === undefined || submissions === undefined || app === undefined || example === undefined) {
    throw new Error("the support has changed");
  }

  expect(
    described({
      listeners: [
        { ...submission, auth: "Optional" },
        { ...submissions, tls: "StartTls" },
      ],
      credentials: [{ ...app, passwordHash: "another" }],
      domains: [
        { ...example, state: "Held", reason: "r" },
        { ...example, domain: "new.example" },
      ],
      paused: true,
      pods: [{ name: "mail-0", state: "Draining", sources: [] }],
    }),
  ).toBe(
    "listeners +submissions (465, StartTls) -submissions (465, Implicit) -internal (2525, StartTls) " +
      "~submission (587, StartTls); credentials -all ~app; " +
      "domains +new.example -crm.example.com -held.example ~example.com; paused; pod.state",
  );
});

test("other bytes under the same name are a change: of the certificate, of a domain's key", () => {
  const key = (bytes: string) => new Map([...certificateFiles, ["k.pem", Buffer.from(bytes)]]);
  const signing = {
    domains: [
      {
        domain: "example.com",
        state: "Active" as const,
        reason: "",
        dkim: [{ selector: "s", algorithm: "rsa-sha256" as const, file: "k.pem" }],
      },
    ],
  };

  expect(described({}, new Map([...certificateFiles, ["tls.crt", Buffer.from("x")]]))).toBe("certificate");
  expect(describeDiff(diffConfig(applied(signing, key("1")), applied(signing, key("2"))))).toBe(
    "domains ~example.com",
  );
  expect(describeDiff(diffConfig(applied(signing, key("1")), applied(signing, key("1"))))).toBe("nothing");
});

test("long lists are cut in the line, not in the data", () => {
  const domains = Array.from({ length: 9 }, (_, index) => ({
    domain: `d${index}.example`,
    state: "Active" as const,
    reason: "",
    dkim: [],
  }));
  const diff = diffConfig(applied({ domains: [] }), applied({ domains }));

  expect(diff.domains.added).toHaveLength(9);
  expect(describeDiff(diff)).toBe(
    "domains +d0.example +d1.example +d2.example +d3.example +d4.example +4 more",
  );
});

test("the order of routes matters", () => {
  const [all] = receivingConfig().routes;
  if (all === undefined) throw new Error("no route");
  const [one, two] = [all, { ...all, name: "two" }];

  expect(describeDiff(diffConfig(applied({ routes: [one, two] }), applied({ routes: [two, one] })))).toBe(
    "route order",
  );
});
