/**
 * A stage for operator stories: the three controllers over a cluster in memory, with a fleet, a DNS zone and
 * a key maker that exist in memory only, on a clock that the story moves.
 *
 *   const world = operatorWorld();
 *   await world.apply(world.relay(), world.domain(), world.pool());
 *   await world.clock.advance(60_000);
 *   expect(await world.condition("SmtpRelay", "mail", "Ready")).toBe("True Sending");
 */
import { generateKeyPairSync } from "node:crypto";

import { API_VERSION, type KindName, kinds } from "../../crds/group.ts";
import type { ApplyObject, KubeClient, KubeObject } from "../../operator/adapters/kubeClient.ts";
import { selfSignedCertificate } from "../../operator/adapters/certificate.ts";
import type { DnsProbe } from "../../operator/adapters/dnsProbe.ts";
import type { KeyGenerator } from "../../operator/adapters/keyGenerator.ts";
import { createMemoryCluster, type MemoryCluster } from "../../operator/adapters/memory/memoryCluster.ts";
import type { PasswordHasher } from "../../operator/adapters/passwords.ts";
import { resources } from "../../operator/resources.ts";
import { type Operator, startOperator } from "../../operator/start.ts";
import { type DnsAnswer, dnsQuestion } from "../../operator/world.ts";
import { createLog, type Log } from "../../relay/kit/log.ts";
import { anEnvironment } from "./builders.ts";
import { FakeClock } from "./fakeClock.ts";
import { FakeFleet } from "./fakeFleet.ts";
import { FaultyKube } from "./faultyKube.ts";
import { seededRandom } from "./seededRandom.ts";

/** Made once: stories need keys that can be read, not new ones. */
const rsaKey = generateKeyPairSync("rsa", { modulusLength: 2048 })
  .privateKey.export({ type: "pkcs8", format: "pem" })
  .toString();
const pair = await selfSignedCertificate("mail.example.com", Date.now());

/** Keys at once, without threads: each Ed25519 one is new, the RSA one always the same. */
export class FakeKeys implements KeyGenerator {
  made = 0;

  async dkimKey(algorithm: "rsa-sha256" | "ed25519-sha256"): Promise<string> {
    this.made += 1;
    if (algorithm === "rsa-sha256") return rsaKey;
    return generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  }

  async certificate(): Promise<{ certificate: string; key: string }> {
    this.made += 1;
    return pair;
  }
}

/** DNS as a map. By default someone publishes at once whatever a status asks for. */
export class FakeDns implements DnsProbe {
  readonly records = new Map<string, readonly string[]>();
  readonly asked: string[] = [];
  failing: string | null = null;

  async ask(question: { type: "TXT" | "A" | "AAAA" | "PTR"; name: string }): Promise<DnsAnswer> {
    this.asked.push(dnsQuestion(question));
    if (this.failing !== null) return { kind: "failed", reason: this.failing };
    const values = this.records.get(dnsQuestion(question));
    return values === undefined ? { kind: "none" } : { kind: "records", values };
  }
}

/** Text that a password can be compared with, without scrypt. */
const fakePasswords: PasswordHasher = {
  prepare: async () => (password, previousHash) => previousHash ?? `$scrypt$ln=14,r=8,p=1$${password}$aGFzaA`,
};

export type OperatorWorld = ReturnType<typeof operatorWorld>;

export function operatorWorld(options: { readonly start?: string; readonly mountSeconds?: number } = {}) {
  const clock = new FakeClock(options.start ?? "2026-11-23T12:00:00Z");
  const cluster: MemoryCluster = createMemoryCluster({ clock, random: seededRandom(1) });
  const kube = new FaultyKube(cluster);
  const fleet = new FakeFleet({ client: cluster, clock, mountSeconds: options.mountSeconds ?? 2 });
  const dns = new FakeDns();
  const keys = new FakeKeys();
  const lines: { level: string; message: string; error?: string }[] = [];
  const log: Log = createLog({
    clock,
    level: "info",
    privacy: () => "Omitted",
    write: (line) => lines.push(JSON.parse(line) as (typeof lines)[number]),
  });
  let operator: Operator | null = null;
  let seed = 1;

  const startAgain = (client: KubeClient = kube): void => {
    operator = startOperator({
      client,
      clock,
      random: seededRandom((seed += 1)),
      log,
      environment: anEnvironment(),
      reports: fleet,
      dns,
      keys,
      passwords: fakePasswords,
      namespaces: null,
    });
  };
  const stopOperator = async (): Promise<void> => {
    const stopping = operator?.stop();
    operator = null;
    await clock.advance(0);
    await stopping;
  };
  const type = (kind: KindName) => ({ apiVersion: API_VERSION, kind, plural: kinds[kind].plural });
  const object = (kind: KindName, name: string, spec: object): ApplyObject => ({
    apiVersion: API_VERSION,
    kind,
    metadata: { name, namespace: "default" },
    spec,
  });
  const get = async (kind: KindName, name: string): Promise<KubeObject> => {
    const found = await cluster.get(type(kind), { namespace: "default", name });
    if (found === null) throw new Error(`${kind} ${name} is not there`);
    return found;
  };
  const status = async (kind: KindName, name: string): Promise<Record<string, unknown>> =>
    ((await get(kind, name))["status"] ?? {}) as Record<string, unknown>;

  fleet.start();
  startAgain();
  return {
    clock,
    cluster,
    kube,
    fleet,
    dns,
    keys,
    lines,
    status,
    get,
    /** A person's `kubectl apply`. */
    async apply(...objects: readonly ApplyObject[]): Promise<void> {
      for (const each of objects) await cluster.apply(each, "person");
    },
    async remove(kind: KindName, name: string): Promise<void> {
      await cluster.delete(type(kind), { namespace: "default", name });
    },
    relay: (spec: object = {}, name = "mail") =>
      object("SmtpRelay", name, {
        hostname: "mail.example.com",
        replicas: 2,
        poolRef: { name: "default" },
        ...spec,
      }),
    domain: (spec: object = {}, name = "example-com") =>
      object("SendingDomain", name, { domain: "example.com", relayRef: { name: "mail" }, ...spec }),
    pool: (spec: object = {}, name = "default") =>
      object("IpPool", name, {
        addresses: [
          { name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.com" },
          { name: "b", ip: "192.0.2.11", ehloName: "b.mail.example.com" },
        ],
        ...spec,
      }),
    /** "True Sending", or "absent". */
    async condition(kind: KindName, name: string, wanted: string): Promise<string> {
      const conditions = ((await status(kind, name))["conditions"] ?? []) as {
        type: string;
        status: string;
        reason: string;
      }[];
      const found = conditions.find((condition) => condition.type === wanted);
      return found === undefined ? "absent" : `${found.status} ${found.reason}`;
    },
    async secret(name: string): Promise<Record<string, string> | null> {
      const found = await cluster.get(resources.secrets, { namespace: "default", name });
      if (found === null) return null;
      const data = (found["data"] ?? {}) as Record<string, string>;
      return Object.fromEntries(
        Object.entries(data).map(([key, value]) => [key, Buffer.from(value, "base64").toString()]),
      );
    },
    /** Publishes every record that the status of domains and pools asks for. */
    async publish(): Promise<void> {
      for (const kind of ["SendingDomain", "IpPool"] as const) {
        for (const { metadata } of (await cluster.list(type(kind))).items) {
          const { records = [] } = (await status(kind, metadata.name)) as {
            records?: { type: string; name: string; expected: string }[];
          };
          for (const record of records) dns.records.set(dnsQuestion(record), [record.expected]);
        }
      }
    },
    /** Moves the clock until the condition is as wanted; false when it never is. */
    async until(wish: () => Promise<boolean> | boolean, limitSeconds = 600): Promise<boolean> {
      for (let second = 0; second < limitSeconds; second++) {
        if (await wish()) return true;
        await clock.advance(1000);
      }
      return wish();
    },
    stopOperator,
    startAgain,
    async stop(): Promise<void> {
      await stopOperator();
      await fleet.stop();
    },
  };
}
