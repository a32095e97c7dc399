/**
 * The operator's pure core in turns, as the controllers run it: pool status, relay plan, relay status, with
 * pods that follow late and answer by the contract. What one pass writes the next one reads; nothing else
 * remembers.
 */
import { expect, test } from "vitest";

import type { IpPool, SmtpRelay } from "../../../crds/kinds.ts";
import { ipPoolStatus } from "../../../crds/ipPool.ts";
import { smtpRelayStatus } from "../../../crds/smtpRelay.ts";
import {
  expectedPoolRecords,
  planPool,
  planRelay,
  poolStatus,
  relayStatus,
} from "../../../operator/plan/index.ts";
import {
  type DnsAnswer,
  dnsQuestion,
  type PodView,
  type PoolWorld,
  type RelayWorld,
} from "../../../operator/world.ts";
import { type RelayConfig, relayConfig } from "../../../relay/contract/config.ts";
import type { RelayReport } from "../../../relay/contract/report.ts";
import {
  aDomain,
  anEnvironment,
  aPool,
  aRelay,
  aRelaySecret,
  aReport,
  NOON,
} from "../../support/builders.ts";
import { misplacedReasons } from "../../support/placements.ts";
import { makeCertificate } from "../../support/certificate.ts";

const certificate = await makeCertificate("mail.example.com");
const HOUR_MS = 3_600_000;

/** A relay pod: holds a configuration, spends within it, remembers what it spent. */
class Pod {
  config: RelayConfig | null = null;
  silent = false;
  queued = 0;
  readonly used = new Map<string, number>();
  readonly name: string;
  readonly since: string;

  constructor(name: string, since: string) {
    this.name = name;
    this.since = since;
  }

  /** Sends up to `wish` recipients from a source today, as the row in force and the spool allow. */
  send(source: string, wish: number, now: number): number {
    const entry = this.config?.pods.find(({ name }) => name === this.name);
    const found = entry?.sources.find(({ name }) => name === source);
    const today = new Date(now).toISOString().slice(0, 10);
    if (found === undefined || found.state !== "Active") return 0;
    const row = found.allowance.findLast(({ day }) => day <= today);
    const unknown =
      this.since.slice(0, 10) === today && Date.parse(this.since) > Date.parse(entry?.usageSince ?? "");
    const key = `${source}|${today}`;
    const left = unknown ? 0 : (row?.total ?? 0) - (this.used.get(key) ?? 0);
    const sent = Math.max(0, Math.min(wish, left));
    this.used.set(key, (this.used.get(key) ?? 0) + sent);
    return sent;
  }

  report(now: number): RelayReport {
    return aReport({
      pod: this.name,
      at: new Date(now).toISOString(),
      appliedRevision: this.config?.revision ?? null,
      usageSince: this.since,
      queue: {
        messages: this.queued,
        recipients: this.queued,
        oldestSeconds: this.queued === 0 ? null : 40,
        providers: [],
      },
      usage: [...this.used].map(([key, used]) => {
        const [source = "", day = ""] = key.split("|");
        return { source, day, provider: "total", used, limit: null };
      }),
    });
  }
}

class Turns {
  now = NOON;
  relay: SmtpRelay = aRelay();
  pool: IpPool = aPool();
  published: RelayConfig | null = null;
  readonly pods = new Map<string, Pod>();
  /** Writes that differ from what was there. */
  writes = 0;

  views(): PodView[] {
    return [...this.pods.values()].map((pod) => ({
      name: pod.name,
      ready: pod.config !== null && !pod.silent,
      ip: "127.0.0.2",
      answer: pod.silent
        ? { kind: "silent", reason: "no answer" }
        : { kind: "report", report: pod.report(this.now) },
    }));
  }

  poolPass(): void {
    const dns = new Map(
      expectedPoolRecords(this.pool).map((record): [string, DnsAnswer] => [
        dnsQuestion(record),
        { kind: "records", values: [record.value] },
      ]),
    );
    const world: PoolWorld = {
      now: this.now,
      environment: anEnvironment(),
      pool: this.pool,
      allPools: [this.pool],
      relays: [{ relay: this.relay, pods: this.views(), publishedConfig: this.published }],
      dns,
    };
    this.pool = { ...this.pool, status: this.written(this.pool.status, poolStatus(world, planPool(world))) };
    ipPoolStatus.parse(this.pool.status);
  }

  relayPass(): void {
    const world: RelayWorld = {
      now: this.now,
      environment: anEnvironment(),
      relay: this.relay,
      domains: [aDomain()],
      allDomains: [],
      pools: [this.pool],
      allPools: [this.pool],
      poolRelays: [this.relay],
      secrets: new Map([
        ["mail-app", aRelaySecret("mail-app", { password: "secret" })],
        [
          "mail-tls-self-signed",
          aRelaySecret("mail-tls-self-signed", { "tls.crt": certificate.cert, "tls.key": certificate.key }),
        ],
      ]),
      statefulSet: null,
      pods: this.views(),
      publishedConfig: this.published,
    };
    const plan = planRelay(world, {
      hashPassword: (password, previous) => previous ?? `hash of ${password}`,
    });
    if (plan.config !== null)
      this.published = this.written(this.published ?? undefined, relayConfig.parse(plan.config));
    this.relay = { ...this.relay, status: this.written(this.relay.status, relayStatus(world, plan)) };
    smtpRelayStatus.parse(this.relay.status);
    const misplaced = misplacedReasons("SmtpRelay", this.relay.status?.conditions);
    if (misplaced.length > 0) throw new Error(misplaced.join(", "));
    const set = plan.objects.find(({ kind }) => kind === "StatefulSet");
    this.follow((set?.["spec"] as { replicas: number } | undefined)?.replicas ?? 0);
  }

  follow(replicas: number): void {
    for (let ordinal = 0; ordinal < 5; ordinal++) {
      const name = `mail-${ordinal}`;
      if (ordinal >= replicas) this.pods.delete(name);
      else if (!this.pods.has(name)) this.pods.set(name, new Pod(name, new Date(this.now).toISOString()));
    }
  }

  mount(): void {
    for (const pod of this.pods.values()) if (!pod.silent) pod.config = this.published;
  }

  /** Everything takes its turn, some rounds long, two seconds each. */
  settle(rounds = 8): void {
    for (let round = 0; round < rounds; round++) {
      this.now += 2000;
      this.poolPass();
      this.relayPass();
      this.mount();
    }
  }

  /** What is written is what a reader sees: JSON. */
  written<T>(before: T | undefined, next: T): T {
    if (JSON.stringify(before) === JSON.stringify(next)) return next;
    this.writes += 1;
    return JSON.parse(JSON.stringify(next)) as T;
  }

  condition(of: "relay" | "pool", type: string): string {
    const found = this[of].status?.conditions?.find((condition) => condition.type === type);
    return `${found?.status} ${found?.reason}: ${found?.message}`;
  }

  pod(name: string): Pod {
    const pod = this.pods.get(name);
    if (pod === undefined) throw new Error(`no pod ${name}`);
    return pod;
  }
}

test("three manifests come up, send within the first stage, and then nothing is written", () => {
  const turns = new Turns();
  turns.settle();

  expect(turns.condition("relay", "Ready")).toBe("True SelfSigned: 2 of 2 replicas send; 0 queued.");
  expect(turns.condition("relay", "ConfigApplied")).toBe(
    `True AllReplicas: Revision ${turns.published?.revision} loaded by mail-0, mail-1.`,
  );
  expect(turns.condition("relay", "Reconciling")).toBe(
    "False Settled: Everything the spec asks for is in place.",
  );
  expect(turns.condition("pool", "Ready")).toBe("True Warming: 2 of 2 addresses may send.");
  expect(turns.pod("mail-0").send("default/a", 1000, turns.now)).toBe(200);

  turns.settle();
  turns.writes = 0;
  turns.now += HOUR_MS;
  turns.settle();
  expect(turns.writes).toBe(0);
  expect(turns.pool.status?.today).toBe("200/400");
});

test("use moves in status at once from nothing, then at most once a minute", () => {
  const turns = new Turns();
  turns.settle();
  const seen: (string | undefined)[] = [];
  for (let second = 0; second < 150; second += 10) {
    turns.pod("mail-0").send("default/a", 10, turns.now);
    turns.now += 10_000;
    turns.poolPass();
    if (seen.at(-1) !== turns.pool.status?.today) seen.push(turns.pool.status?.today);
  }

  expect(seen).toEqual(["10/400", "70/400", "130/400"]);
});

test("a stage that was used is followed by the next one, and one that was not is held with the number", () => {
  const turns = new Turns();
  turns.settle();
  turns.pod("mail-0").send("default/a", 190, turns.now);
  turns.pod("mail-1").send("default/b", 30, turns.now);
  turns.now = Date.parse("2026-11-23T23:30:00Z");
  turns.settle();
  const rowOf = (name: string, source: string, day: string) =>
    turns
      .pod(name)
      .config?.pods.find((pod) => pod.name === name)
      ?.sources.find((one) => one.name === source)
      ?.allowance.find((row) => row.day === day)?.total;
  expect([rowOf("mail-0", "default/a", "2026-11-24"), rowOf("mail-1", "default/b", "2026-11-24")]).toEqual([
    500, 200,
  ]);

  turns.now = Date.parse("2026-11-24T00:00:00Z");
  turns.settle();
  expect(
    turns.pool.status?.addresses?.map(({ warmup }) => [warmup?.stage, warmup?.dayLimit, warmup?.usedToday]),
  ).toEqual([
    [2, 500, 0],
    [1, 200, 0],
  ]);
  expect(
    turns.pool.status?.history
      ?.slice(0, 2)
      .map(({ address, decision, reason }) => `${address} ${decision}: ${reason}`),
  ).toEqual([
    "b Held: 15 % of stage 1 used (30 of 200); 90 % needed.",
    "a Advanced: 95 % of stage 1 used (190 of 200); stage 2 allows 500 a day.",
  ]);
});

test("without the operator pods climb a stage a day by the rows they have, and it goes on from there", () => {
  const turns = new Turns();
  turns.settle();
  const sent = ["23", "24", "25", "26"].map((day) => {
    turns.now = Date.parse(`2026-11-${day}T15:00:00Z`);
    return turns.pod("mail-0").send("default/a", 100_000, turns.now);
  });
  expect(sent).toEqual([200, 500, 1000, 2000]);

  turns.settle();
  expect(turns.pool.status?.addresses?.[0]?.warmup).toMatchObject({
    stage: 4,
    dayLimit: 2000,
    usedToday: 2000,
  });
});

test("scaling down waits for mail, says what it waits for, and hands the address over", () => {
  const turns = new Turns();
  turns.settle();
  turns.pod("mail-1").queued = 12;
  turns.relay = { ...turns.relay, spec: { ...turns.relay.spec, replicas: 1 } };
  turns.now += 61_000;
  turns.settle();
  expect(turns.condition("relay", "Draining")).toBe(
    "True Draining: mail-1 holds 12 messages; waits until empty.",
  );
  expect(turns.condition("relay", "Ready")).toBe(
    "True SelfSigned: 1 of 1 replica sends; 12 queued, oldest 40s.",
  );
  expect(turns.published?.pods.map(({ name, state }) => `${name} ${state}`)).toEqual([
    "mail-0 Active",
    "mail-1 Draining",
  ]);

  turns.pod("mail-1").queued = 0;
  turns.settle();
  expect([...turns.pods.keys()]).toEqual(["mail-0"]);
  expect(turns.condition("relay", "Draining")).toBe("False Running: No pod is leaving.");
  // What mail-1 used last today is unknown: its part is free tomorrow.
  expect(turns.pod("mail-0").send("default/b", 1000, turns.now)).toBe(0);
  turns.now += 12 * HOUR_MS;
  turns.settle();
  expect(turns.pod("mail-0").send("default/b", 1000, turns.now)).toBe(200);
});

test("a silent pod is named, and what it may hold is given to nobody", () => {
  const turns = new Turns();
  turns.settle();
  turns.pod("mail-1").silent = true;
  turns.relay = { ...turns.relay, spec: { ...turns.relay.spec, replicas: 4 } };
  turns.settle();

  expect(turns.condition("relay", "ConfigApplied")).toBe(
    "Unknown ReportsMissing: mail-1 did not say which revision it runs.",
  );
  expect(turns.condition("relay", "Ready")).toBe(
    "True SelfSigned: 3 of 4 replicas send; 0 queued. 3 of 4 pods ready; mail-1 does not answer.",
  );
  expect(
    turns.pool.status?.addresses?.map(({ shares }) =>
      shares?.map(({ pod, permille }) => `${pod} ${permille}`),
    ),
  ).toEqual([
    ["default/mail-0 500", "default/mail-2 500"],
    ["default/mail-1 1000", "default/mail-3 0"],
  ]);
});

test("an address that is paused, removed and comes back goes on where it was", () => {
  const turns = new Turns();
  turns.settle();
  turns.pod("mail-0").send("default/a", 200, turns.now);
  turns.now = Date.parse("2026-11-24T12:00:00Z");
  turns.settle();
  const addresses = turns.pool.spec.addresses;
  const withAddresses = (list: typeof addresses) => {
    turns.pool = { ...turns.pool, spec: { ...turns.pool.spec, addresses: list } };
    turns.now += HOUR_MS;
    turns.settle();
  };
  withAddresses(addresses.slice(1));
  expect(turns.pool.status?.addresses?.map(({ name, state }) => `${name} ${state}`)).toEqual([
    "b Warming",
    "a Paused",
  ]);
  expect(turns.pool.status?.ready).toBe("1/1");

  turns.now += 3 * 24 * HOUR_MS;
  withAddresses(addresses);
  expect(turns.pool.status?.addresses?.[0]).toMatchObject({
    name: "a",
    state: "Warming",
    warmup: { stage: 2, dayLimit: 500 },
  });
  expect(
    turns.pool.status?.history?.filter(({ address }) => address === "a").map(({ decision }) => decision),
  ).toContain("Resumed");
});
