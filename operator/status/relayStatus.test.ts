import { expect, test } from "vitest";

import { smtpRelayStatus, type SmtpRelayStatus } from "../../crds/smtpRelay.ts";
import {
  aDomain,
  anEnvironment,
  aPod,
  aPool,
  aRelay,
  aRelaySecret,
  aSilentPod,
  NOON,
} from "../../test/support/builders.ts";
import { makeCertificate } from "../../test/support/certificate.ts";
import { misplacedReasons } from "../../test/support/placements.ts";
import { planRelay } from "../plan/relay.ts";
import type { RelayWorld } from "../world.ts";
import { relayNextLook } from "./nextLook.ts";
import { relayStatus } from "./relayStatus.ts";

const certificate = await makeCertificate("mail.example.com");
const warm = aPool({
  spec: { warmup: { ramp: "None" } },
  status: {
    addresses: [
      { name: "a", ip: "192.0.2.10", state: "Warm", checks: [] },
      { name: "b", ip: "192.0.2.11", state: "Warm", checks: [] },
    ],
  },
});
const secrets = new Map([
  ["mail-app", aRelaySecret("mail-app", { password: "secret" })],
  [
    "mail-tls-self-signed",
    aRelaySecret("mail-tls-self-signed", { "tls.crt": certificate.cert, "tls.key": certificate.key }),
  ],
]);

function world(overrides: Partial<RelayWorld> = {}): RelayWorld {
  const relay = overrides.relay ?? aRelay();
  const pools = overrides.pools ?? [warm];
  return {
    now: NOON,
    environment: anEnvironment(),
    relay,
    domains: [aDomain()],
    allDomains: [],
    pools,
    allPools: pools,
    poolRelays: [relay],
    secrets,
    statefulSet: null,
    pods: [],
    publishedConfig: null,
    ...overrides,
  };
}

function look(of: RelayWorld) {
  const plan = planRelay(of, { hashPassword: () => "hash" });
  const status: SmtpRelayStatus = smtpRelayStatus.parse(relayStatus(of, plan));
  const misplaced = misplacedReasons("SmtpRelay", status.conditions);
  if (misplaced.length > 0) throw new Error(misplaced.join(", "));
  const said = (type: string) => {
    const found = status.conditions?.find((condition) => condition.type === type);
    return `${found?.status} ${found?.reason}: ${found?.message}`;
  };
  return { plan, status, said, next: relayNextLook(of, plan, status) };
}

/** What is published when nothing is special. */
const published = look(world()).plan.config;
const revision = published?.revision ?? "";
const loaded = { appliedRevision: revision };
const two = [aPod("mail-0", loaded), aPod("mail-1", loaded)];

test("a relay that works says how much it works, and what to paste", () => {
  const { said, status, next } = look(world({ pods: two, publishedConfig: published }));

  expect(said("Ready")).toBe("True SelfSigned: 2 of 2 replicas send; 0 queued.");
  expect(said("ConfigApplied")).toBe(`True AllReplicas: Revision ${revision} loaded by mail-0, mail-1.`);
  expect(status).toMatchObject({
    replicas: 2,
    readyReplicas: 2,
    ready: "2/2",
    selector:
      "app.kubernetes.io/name=smtp-relay,app.kubernetes.io/instance=mail,app.kubernetes.io/component=relay",
    configRevision: revision,
    queue: { messages: 0 },
    settings: { host: "mail.example.com", port: 587, security: "STARTTLS", secretName: "mail-app" },
    credentials: [{ name: "app", secretName: "mail-app", state: "Ready" }],
    pods: [
      { name: "mail-0", ready: true, queued: 0, appliedRevision: revision, addresses: ["default/a"] },
      { name: "mail-1", ready: true, queued: 0, appliedRevision: revision, addresses: ["default/b"] },
    ],
  });
  expect(next).toEqual({ kind: "again", afterSeconds: 15 });
});

test("before its pods are up it is starting; a relay that worked and lost them is not ready", () => {
  const starting = look(
    world({ pods: [{ ...aPod("mail-0", { notReadyReason: "no configuration yet" }), ready: false }] }),
  );
  expect(starting.said("Ready")).toBe("False Starting: 0 of 2 pods ready; mail-0: no configuration yet.");
  expect(starting.said("Reconciling")).toContain("True PodsNotReady");
  expect(starting.next).toEqual({ kind: "again", afterSeconds: 2 });

  const worked = aRelay({ status: look(world({ pods: two, publishedConfig: published })).status });
  const lost = look(world({ relay: worked, pods: [aSilentPod("mail-0"), aSilentPod("mail-1")] }));
  expect(lost.said("Ready")).toBe(
    "False PodsNotReady: 0 of 2 pods ready; mail-0 does not answer, mail-1 does not answer.",
  );
});

test("pods that are ready but do not answer the operator are unknown, and mail is not called broken", () => {
  const pods = ["mail-0", "mail-1"].map((name) => ({ ...aSilentPod(name), ready: true }));

  expect(look(world({ pods })).said("Ready")).toBe(
    "Unknown ReportsMissing: 2 pods ready, but none answered when asked for a report.",
  );
});

test("a pod that refuses the configuration needs a person", () => {
  const refuses = aPod("mail-1", {
    appliedRevision: "1-aaaaaaaaaaaaaaaa",
    refusal: 'sources: "x" is no address',
  });
  const { said } = look(world({ pods: [aPod("mail-0", loaded), refuses] }));
  const text = 'mail-1 keeps revision 1-aaaaaaaaaaaaaaaa: sources: "x" is no address.';

  expect(said("ConfigApplied")).toBe(`False ConfigRefused: ${text}`);
  expect(said("Stalled")).toBe(`True ConfigRefused: ${text}`);
});

test("a pool that is missing or blocked says so by name", () => {
  const missing = look(world({ pools: [], pods: [] }));
  expect(missing.said("Ready")).toBe("False PoolMissing: IpPool default/default does not exist.");
  expect(missing.said("Stalled")).toBe("True PoolMissing: IpPool default/default does not exist.");
  expect(missing.said("Reconciling")).toBe("False Settled: Nothing is under way; see Stalled.");
  expect(missing.next).toEqual({ kind: "waiting", reason: "PoolMissing", afterSeconds: 60 });

  const failed = {
    name: "ForwardConfirmedReverseDns" as const,
    result: "Fail" as const,
    detail: "PTR is missing",
  };
  const blocked = aPool({
    status: {
      addresses: ["a", "b"].map((name, index) => ({
        name,
        ip: `192.0.2.1${index}`,
        state: "Blocked" as const,
        checks: [failed],
      })),
    },
  });
  expect(look(world({ pools: [blocked], pods: two })).said("Ready")).toBe(
    "False PoolBlocked: No address may send: default/a ForwardConfirmedReverseDns: PTR is missing.",
  );
});

test("a smaller trouble is told in Ready, which stays", () => {
  const relay = aRelay({
    spec: { auth: { credentials: [{ name: "app" }, { name: "crm", secretRef: { name: "crm-smtp" } }] } },
  });
  const { said, status } = look(world({ relay, pods: two }));

  expect(said("Ready")).toBe(
    "True SecretMissing: 2 of 2 replicas send; 0 queued. Credential crm: Secret crm-smtp does not exist.",
  );
  expect(said("Stalled")).toBe("False NothingWrong: Nothing needs a person.");
  expect(status.credentials?.map(({ name, state }) => `${name} ${state}`)).toEqual([
    "app Ready",
    "crm SecretMissing",
  ]);
});

test("a relay that no SendingDomain names says that it takes mail from nobody", () => {
  expect(look(world({ pods: two, domains: [] })).said("Ready")).toMatch(
    / No SendingDomain names this relay, so every sender is refused with 553\.$/u,
  );
});

test("paused, at zero, and with queued mail it says what it does", () => {
  const queued = { queue: { messages: 602, recipients: 602, oldestSeconds: 38, providers: [] } };
  const pods = [aPod("mail-0", queued), aPod("mail-1", queued)];

  expect(look(world({ pods })).said("Ready")).toBe(
    "True SelfSigned: 2 of 2 replicas send; 1,200 queued, oldest 38s.",
  );
  expect(look(world({ relay: aRelay({ spec: { paused: true } }), pods })).said("Ready")).toBe(
    "True Paused: 2 of 2 replicas take mail, delivery is paused; 1,200 queued, oldest 38s.",
  );
  expect(look(world({ relay: aRelay({ spec: { replicas: 0 } }) })).said("Ready")).toBe(
    "True ScaledToZero: 0 replicas, as asked: no mail is taken.",
  );
});

test("looking again while nothing changes writes the same, and small changes wait for a minute", () => {
  const queue = (messages: number) => ({
    ...loaded,
    queue: { messages, recipients: messages, oldestSeconds: 40, providers: [] },
  });
  const first = look(
    world({ pods: [aPod("mail-0", queue(100)), aPod("mail-1", loaded)], publishedConfig: published }),
  ).status;
  const later = (seconds: number, messages: number) =>
    look(
      world({
        relay: aRelay({ status: first }),
        now: NOON + seconds * 1000,
        publishedConfig: published,
        pods: [aPod("mail-0", queue(messages)), aPod("mail-1", loaded)],
      }),
    ).status;

  expect(later(3600, 100)).toEqual(first);
  expect(later(3600, 105)).toEqual(first);
  expect(later(30, 150)).toEqual(first);
  expect(later(61, 150).queue?.messages).toBe(150);
  expect(later(30, 0).queue?.messages).toBe(0);
});
