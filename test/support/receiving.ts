/**
 * A receiving relay in this process: real sockets on loopback, a spool in memory and a clock that the test
 * moves. It ends with the test that started it.
 */
import { onTestFinished } from "vitest";

import type { Credential, RelayConfig } from "../../relay/contract/config.ts";
import { createLog, silentLog } from "../../relay/kit/log.ts";
import { hashPasswordWith } from "../../relay/kit/passwordHash.ts";
import { createUlids } from "../../relay/kit/ulid.ts";
import type { QueuedMessage } from "../../relay/message.ts";
import { createMemoryDisk, createMemorySpool, type MemoryDisk } from "../../relay/queue/memorySpool.ts";
import type { Spool } from "../../relay/queue/spool.ts";
import { createReceiver, type Receiver } from "../../relay/smtp/receive.ts";
import { makeCertificate } from "./certificate.ts";
import { FakeClock } from "./fakeClock.ts";
import { seededRandom } from "./seededRandom.ts";
import { SmtpClient } from "./smtpClient.ts";

export const certificate = await makeCertificate("mail.example.com");
export const certificateFiles = new Map([
  ["tls.crt", Buffer.from(certificate.cert)],
  ["tls.key", Buffer.from(certificate.key)],
]);

/** User `app` with password `secret` may send from example.com, user `all` from every domain. */
export const credentials: readonly Credential[] = [
  {
    name: "app",
    username: "app",
    passwordHash: await hashPasswordWith("secret", Buffer.alloc(16, 1)),
    domains: ["example.com"],
  },
  {
    name: "all",
    username: "all",
    passwordHash: await hashPasswordWith("secret", Buffer.alloc(16, 2)),
    domains: [],
  },
];

/** Listeners submission (STARTTLS), submissions (TLS) and internal (127.0.0.2 is trusted). */
export function receivingConfig(changes: Partial<RelayConfig> = {}): RelayConfig {
  return {
    version: 1,
    revision: "1",
    relay: { namespace: "default", name: "mail", hostname: "mail.example.com" },
    paused: false,
    listeners: [
      { name: "submission", port: 587, tls: "StartTls", auth: "Required", trustedNetworks: ["127.0.0.2/32"] },
      { name: "submissions", port: 465, tls: "Implicit", auth: "Required", trustedNetworks: [] },
      { name: "internal", port: 2525, tls: "StartTls", auth: "Optional", trustedNetworks: ["127.0.0.2/32"] },
    ],
    certificate: { certFile: "tls.crt", keyFile: "tls.key" },
    limits: { messageSizeBytes: 100_000, recipientsPerMessage: 5, sessions: 50, sessionsPerClient: 20 },
    credentials: [...credentials],
    domains: [
      { domain: "example.com", state: "Active", reason: "", dkim: [] },
      { domain: "crm.example.com", state: "Active", reason: "", dkim: [] },
      { domain: "held.example", state: "Held", reason: "its DKIM record is missing", dkim: [] },
    ],
    routes: [{ name: "all", recipientDomains: [], to: { kind: "pool", pool: "default" } }],
    queue: { expireAfterSeconds: 432_000, retry: { firstDelaySeconds: 300, longestDelaySeconds: 14_400 } },
    tlsOutbound: { mode: "Opportunistic", minVersion: "TLSv1.2" },
    dns: { servers: [] },
    delivery: { port: 25, forbiddenNetworks: [] },
    privacy: { addressesInLogs: "Hashed" },
    pods: [{ name: "mail-0", state: "Active", sources: [] }],
    ...changes,
  };
}

export interface Receiving {
  readonly clock: FakeClock;
  readonly disk: MemoryDisk;
  readonly spool: Spool;
  readonly receiver: Receiver;
  readonly accepted: readonly QueuedMessage[];
  apply(changes: Partial<RelayConfig>): Promise<void>;
  /** A client that has read the greeting. */
  client(options?: { listener?: string; from?: string; tls?: boolean }): Promise<SmtpClient>;
  /** A client that is through EHLO, STARTTLS and AUTH as `app`. */
  submitter(options?: { username?: string; from?: string }): Promise<SmtpClient>;
  /** Content of an accepted message, as stored. */
  stored(index?: number): string;
}

export async function startReceiving(
  changes: Partial<RelayConfig> = {},
  options: {
    /** Lines of the log, privacy "Hashed". */
    logTo?: string[];
    spool?: (spool: Spool) => Spool;
    portShift?: number;
  } = {},
): Promise<Receiving> {
  const { logTo } = options;
  const clock = new FakeClock();
  const random = seededRandom();
  const disk = createMemoryDisk();
  const spool = (options.spool ?? ((plain) => plain))(createMemorySpool({ clock, disk }));
  const accepted: QueuedMessage[] = [];
  const receiver = createReceiver({
    clock,
    random,
    log:
      logTo === undefined
        ? silentLog
        : createLog({ clock, level: "debug", write: (line) => logTo.push(line), privacy: () => "Hashed" }),
    spool,
    bind: "127.0.0.1",
    portShift: options.portShift ?? "any",
    newId: createUlids({ clock, random }),
    onAccepted: (message) => accepted.push(message),
  });
  const apply = (more: Partial<RelayConfig>) =>
    receiver.apply(receivingConfig({ ...changes, ...more }), "mail-0", certificateFiles);
  await apply({});
  onTestFinished(async () => {
    const stopped = receiver.stop({ graceSeconds: 0 });
    await clock.advance(60_000);
    await stopped;
  });

  async function client({
    listener = "submission",
    from,
    tls = false,
  }: Parameters<Receiving["client"]>[0] = {}) {
    const port = receiver.ports().get(listener);
    if (port === undefined) throw new Error(`No listener ${listener}`);
    const connected = await SmtpClient.connect({ port, tls, ...(from === undefined ? {} : { from }) });
    await connected.expect(220);
    return connected;
  }

  return {
    clock,
    disk,
    spool,
    receiver,
    accepted,
    apply,
    client,
    async submitter({ username = "app", ...where } = {}) {
      const connected = await client(where);
      await connected.say("EHLO client.example", 250);
      await connected.startTls();
      await connected.login(username, "secret");
      return connected;
    },
    stored(index = 0) {
      const id = accepted[index]?.id ?? "";
      return disk.contents.get(id)?.toString("latin1") ?? "";
    },
  };
}
