/**
 * RelayConfig: all a relay must know, as one JSON document that the operator renders and the relay
 * follows. Units are in the names; dates are UTC days. Keys and certificates are named by file in the
 * same folder, which is swapped as a whole, so that a revision is never half applied.
 *
 * One document serves all pods of a relay; each reads the entry of `pods` that bears its name.
 */
import { z } from "zod";

export const CONFIG_VERSION = 1;

const name = z.string().min(1).max(253);
const fileName = z
  .string()
  .max(255)
  .regex(/^[A-Za-z0-9._-]+$/, "must be a plain file name");
const hostName = z.string().min(1).max(253);
const port = z.int().min(1).max(65535);
/** A UTC day, "2026-11-23". */
const utcDay = z.string().regex(/^\d{4}-\d{2}-\d{2}$/, "must be a day such as 2026-11-23");
const cidr = z.union([z.cidrv4(), z.cidrv6()]);
const ipAddress = z.union([z.ipv4(), z.ipv6()]);

/** What a source may send on one day: recipients accepted or in flight. `total` null: no limit. */
export const allowanceRow = z.strictObject({
  day: utcDay,
  total: z.int().min(0).nullable(),
  /** Limits of single providers within `total`, by provider name. A provider not named has only `total`. */
  providers: z.record(z.string().max(63), z.int().min(0)),
});
export type AllowanceRow = z.infer<typeof allowanceRow>;

/** An egress source: one address mail leaves from, as KumoMTA uses the word. */
export const egressSource = z.strictObject({
  name,
  pool: name,
  /** Local address to connect from; null lets the system choose. */
  address: ipAddress.nullable(),
  /** RFC 5321 §4.1.1.1: the argument of EHLO, a name that resolves to the address. */
  ehloName: hostName,
  /** Paused sources finish what is in flight and start nothing. */
  state: z.enum(["Active", "Paused"]),
  /** Why it is paused, for `explain`; empty when active. */
  stateReason: z.string().max(512),
  /**
   * The days ahead, ascending. The row in force is the last one whose day is not after today; past the
   * horizon the last row holds; before the first row nothing is sent. Empty: no limit (a warm address).
   */
  allowance: z.array(allowanceRow).max(64),
});
export type EgressSource = z.infer<typeof egressSource>;

export const listener = z.strictObject({
  name,
  /** The port clients know. The process opens `containerPort(port)`. */
  port,
  tls: z.enum(["StartTls", "Implicit"]),
  auth: z.enum(["Required", "Optional"]),
  /** Clients that may submit without AUTH when auth is Optional; never honoured otherwise. */
  trustedNetworks: z.array(cidr).max(64),
});
export type Listener = z.infer<typeof listener>;

export const credential = z.strictObject({
  name,
  username: z.string().min(1).max(255),
  /** "$scrypt$ln=14,r=8,p=1$<salt base64>$<hash base64>". */
  passwordHash: z.string().max(512),
  /** Sending domains it may use; empty: every domain of this relay. */
  domains: z.array(hostName).max(1000),
  /** Queue class of its mail where a message names none, and the highest a message may name. */
  queueClass: name.optional(),
});
export type Credential = z.infer<typeof credential>;

export const dkimKey = z.strictObject({
  selector: z.string().min(1).max(63),
  algorithm: z.enum(["rsa-sha256", "ed25519-sha256"]),
  file: fileName,
});
export type DkimKey = z.infer<typeof dkimKey>;

export const sendingDomain = z.strictObject({
  domain: hostName,
  /** Held: submissions are answered 451 with `reason`, what is queued waits. */
  state: z.enum(["Active", "Held"]),
  reason: z.string().max(512),
  /** Keys that sign now, all of them on every message. */
  dkim: z.array(dkimKey).max(8),
});
export type SendingDomainConfig = z.infer<typeof sendingDomain>;

/** First match wins. A route without `recipientDomains` matches all. */
export const route = z.strictObject({
  name,
  /** "example.com" matches itself, "*.example.com" its subdomains. Empty: every domain. */
  recipientDomains: z.array(z.string().max(255)).max(1000),
  to: z.discriminatedUnion("kind", [
    /** Straight to the recipient's MX, from the sources of this pool. */
    z.strictObject({ kind: z.literal("pool"), pool: name }),
    z.strictObject({
      kind: z.literal("smarthost"),
      host: hostName,
      port,
      /** Verify: STARTTLS (Implicit on port 465) with a valid certificate. */
      tls: z.enum(["Opportunistic", "Required", "Verify"]),
      username: z.string().max(255).nullable(),
      /** File with the password, when there is a username. */
      passwordFile: fileName.nullable(),
      /** Pool whose sources connect to the smart host; null: the system's address, EHLO = hostname. */
      pool: name.nullable(),
      /** Most connections to it at once. Absent: `SMART_HOST_CONNECTIONS`, or what its provider takes. */
      connections: z.int().min(1).max(500).optional(),
    }),
  ]),
});
export type Route = z.infer<typeof route>;

export const pod = z.strictObject({
  name,
  /** Draining: no new submissions (421 4.3.2, not ready), what is queued is delivered. */
  state: z.enum(["Active", "Draining"]),
  /**
   * Since when the operator knows this pod's spool to know its use of allowances. A spool created later
   * has lost what was used before it: on the UTC day of its creation it spends no allowance, from the next
   * day on it does. Absent: nobody watches, the spool is trusted.
   */
  usageSince: z.iso.datetime().optional(),
  sources: z.array(egressSource).max(256),
});

const retry = z.strictObject({
  firstDelaySeconds: z.int().min(1),
  longestDelaySeconds: z.int().min(1),
});

/** Mail that waits by its own priority, expiry and retries. What is left out is the queue's. */
export const queueClass = z.strictObject({
  name,
  priority: z.enum(["High", "Normal", "Low"]),
  expireAfterSeconds: z.int().min(60).max(2_592_000).optional(),
  retry: retry.optional(),
});
export type QueueClassConfig = z.infer<typeof queueClass>;

export const relayConfig = z.strictObject({
  version: z.literal(CONFIG_VERSION),
  /** Hash of the rest of the document and of the key files; reported back when applied. */
  revision: z.string().min(1).max(64),
  relay: z.strictObject({ namespace: name, name, hostname: hostName }),
  /** Paused: accepts and keeps, delivers nothing. */
  paused: z.boolean(),
  listeners: z.array(listener).min(1).max(16),
  certificate: z.strictObject({ certFile: fileName, keyFile: fileName }),
  limits: z.strictObject({
    messageSizeBytes: z.int().min(1024).max(1_073_741_824),
    recipientsPerMessage: z.int().min(1).max(10_000),
    sessions: z.int().min(1).max(100_000),
    sessionsPerClient: z.int().min(1).max(100_000),
  }),
  credentials: z.array(credential).max(1000),
  domains: z.array(sendingDomain).max(10_000),
  routes: z.array(route).min(1).max(256),
  queue: z.strictObject({
    expireAfterSeconds: z.int().min(60).max(2_592_000),
    retry,
    /** Absent where there are none, so that a relay of an older version takes the document. */
    classes: z.array(queueClass).max(16).optional(),
  }),
  tlsOutbound: z.strictObject({
    mode: z.enum(["Opportunistic", "Required"]),
    minVersion: z.enum(["TLSv1.2", "TLSv1.3"]),
  }),
  dns: z.strictObject({
    /** "address:port" of resolvers; empty: the system's. */
    servers: z.array(z.string().max(64)).max(8),
  }),
  delivery: z.strictObject({
    /** Port of MX hosts. RFC 5321 §4.5.4.2: 25; tests and local mode point elsewhere. */
    port,
    /** MX targets in these networks are refused with 5.4.4 (loops and server-side request forgery). */
    forbiddenNetworks: z.array(cidr).max(64),
  }),
  privacy: z.strictObject({ addressesInLogs: z.enum(["Plain", "Hashed", "Omitted"]) }),
  pods: z.array(pod).max(100),
});
export type RelayConfig = z.infer<typeof relayConfig>;
