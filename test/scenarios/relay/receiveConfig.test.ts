/** The configuration changes while clients are connected; and the relay stops while they send. */
import { expect, test, vi } from "vitest";

import { makeCertificate } from "../../support/certificate.ts";
import { credentials, receivingConfig, startReceiving } from "../../support/receiving.ts";
import { SmtpClient } from "../../support/smtpClient.ts";

const minimal = "From: a@example.com\r\n\r\nHello\r\n";
const [submission, submissions, internal] = receivingConfig().listeners;
const [app, all] = credentials;
if (
  submission === undefined ||
  submissions === undefined ||
  internal === undefined ||
  app === undefined ||
  all === undefined
) {
  throw new Error("the support has changed");
}

test("domains, limits and lifetimes change under an open session, at its next command", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter({ username: "all" });
  await client.say("MAIL FROM:<a@new.example>", "553 5.7.1");

  await relay.apply({
    domains: [{ domain: "new.example", state: "Active", reason: "", dkim: [] }],
    limits: { messageSizeBytes: 2000, recipientsPerMessage: 1, sessions: 50, sessionsPerClient: 20 },
    queue: { expireAfterSeconds: 60, retry: { firstDelaySeconds: 1, longestDelaySeconds: 1 } },
  });
  await client.say("MAIL FROM:<a@example.com>", "553 5.7.1");
  await client.say("MAIL FROM:<a@new.example> SIZE=2001", "552 5.3.4");
  await client.say("MAIL FROM:<a@new.example>", 250);
  await client.say("RCPT TO:<b@example.org>", 250);
  await client.say("RCPT TO:<c@example.org>", "452 4.5.3");
  await client.say("DATA", 354);
  await client.say("From: a@new.example\r\n\r\n.", 250);

  const [message] = relay.accepted;
  expect((message?.expiresAt ?? 0) - (message?.receivedAt ?? 0)).toBe(60_000);
});

test("a domain held between MAIL and the end of the content is put off", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();
  await client.begin("a@example.com", "b@example.org");

  await relay.apply({ domains: [{ domain: "example.com", state: "Held", reason: "on request", dkim: [] }] });
  await client.say(`${minimal}.`, "451 4.7.1 Mail from example.com is held: on request");

  expect(relay.disk.contents.size).toBe(0);
});

test("a session whose credential was removed must log in again, one whose domains changed need not", async () => {
  const relay = await startReceiving();
  const removed = await relay.submitter({ username: "all" });
  const changed = await relay.submitter();

  await relay.apply({ credentials: [{ ...app, domains: ["crm.example.com"] }] });
  await removed.say("MAIL FROM:<a@example.com>", "530 5.7.0");
  await removed.login("all", "secret", 535);
  await removed.login("app", "secret", 235);
  await changed.say("MAIL FROM:<a@example.com>", "550 5.7.1");
  await changed.say("MAIL FROM:<a@crm.example.com>", 250);

  expect(relay.receiver.counts().sessions).toBe(2);
});

test("listeners come and go, and sessions of those that went go on", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();
  const before = relay.receiver.ports();

  await relay.apply({ listeners: [submissions, { ...internal, name: "renamed", port: 2526 }] });
  const after = relay.receiver.ports();
  expect([...after.keys()]).toEqual(["submissions", "renamed"]);
  expect(after.get("submissions")).toBe(before.get("submissions"));
  await expect(SmtpClient.connect({ port: before.get("submission") ?? 0 })).rejects.toThrow("ECONNREFUSED");
  await relay.client({ listener: "renamed" });
  await client.begin("a@example.com", "b@example.org");
  await client.say(`${minimal}.`, 250);
});

test("trust and names of a listener change while it is open", async () => {
  const relay = await startReceiving();
  const client = await relay.client({ listener: "internal", from: "127.0.0.2" });
  await client.say("EHLO client.example", 250);
  const port = relay.receiver.ports().get("internal");

  await relay.apply({
    listeners: [submission, submissions, { ...internal, trustedNetworks: ["127.0.0.3/32"] }],
    relay: { namespace: "default", name: "mail", hostname: "smtp.example.com" },
  });
  await client.say("MAIL FROM:<a@example.com>", "530 5.7.0");
  const trusted = await relay.client({ listener: "internal", from: "127.0.0.3" });
  expect((await trusted.say("EHLO client.example", 250)).lines[0]).toBe("smtp.example.com");
  await trusted.say("MAIL FROM:<a@example.com>", 250);
  expect(relay.receiver.ports().get("internal")).toBe(port);
});

test("a new certificate serves new handshakes on both kinds of listener; old sessions keep theirs", async () => {
  const relay = await startReceiving();
  const old = await relay.submitter();
  const renewed = await makeCertificate("renewed.example.com");

  await relay.receiver.apply(
    receivingConfig(),
    "mail-0",
    new Map([
      ["tls.crt", Buffer.from(renewed.cert)],
      ["tls.key", Buffer.from(renewed.key)],
    ]),
  );
  const starting = await relay.client();
  await starting.say("EHLO client.example", 250);
  await starting.startTls();
  const implicit = await relay.client({ listener: "submissions", tls: true });

  expect(starting.peerName).toBe("renewed.example.com");
  expect(implicit.peerName).toBe("renewed.example.com");
  expect(old.peerName).toBe("mail.example.com");
  await old.say("NOOP", 250);
});

test("a certificate that cannot be used changes nothing, and the error says why", async () => {
  const relay = await startReceiving();
  const other = await makeCertificate("other.example.com");
  const client = await relay.submitter();

  await expect(
    relay.receiver.apply(
      receivingConfig({ domains: [] }),
      "mail-0",
      new Map([
        ["tls.crt", Buffer.from(other.cert)],
        ["tls.key", Buffer.from("no key")],
      ]),
    ),
  ).rejects.toThrow("Cannot use certificate tls.crt with key tls.key: ");
  await expect(relay.receiver.apply(receivingConfig(), "mail-9", new Map())).rejects.toThrow(
    "Cannot apply configuration: it has no pod mail-9",
  );
  await client.say("MAIL FROM:<a@example.com>", 250);
});

test("a port that is taken is named, and everything stays as it was", async () => {
  const first = await startReceiving({ listeners: [{ ...submission, port: 2587 }] }, { portShift: 20_000 });
  const second = await startReceiving({ listeners: [{ ...submission, port: 2588 }] }, { portShift: 20_000 });

  await expect(
    second.apply({
      listeners: [
        { ...submission, port: 2588, tls: "Implicit" },
        { ...submission, name: "more", port: 2589 },
        { ...submission, name: "taken", port: 2587 },
      ],
      domains: [],
    }),
  ).rejects.toThrow("Cannot open listener taken on 127.0.0.1:22587: the port is in use");

  expect([...second.receiver.ports()]).toEqual([["submission", 22_588]]);
  const client = await second.submitter();
  await client.say("MAIL FROM:<a@example.com>", 250);
  expect(first.receiver.counts().sessions).toBe(0);
});

test("ports below 1024 are opened a thousand higher", async () => {
  const relay = await startReceiving({ listeners: [submission] }, { portShift: 20_000 });

  expect(relay.receiver.ports().get("submission")).toBe(21_587);
});

test("a draining pod greets with 421 and lets nobody begin anew, but running transactions end well", async () => {
  const relay = await startReceiving();
  const idle = await relay.submitter();
  const busy = await relay.submitter();
  await busy.begin("a@example.com", "b@example.org");

  await relay.apply({ pods: [{ name: "mail-0", state: "Draining", sources: [] }] });
  await expect(relay.client()).rejects.toThrow("421 4.3.2 This relay is draining");
  await idle.say("MAIL FROM:<a@example.com>", "421 4.3.2");
  await idle.expectClosed();
  await busy.say(`${minimal}.`, 250);
  await busy.say("MAIL FROM:<a@example.com>", "421 4.3.2");

  await relay.apply({});
  await relay.client();
  expect(relay.accepted).toHaveLength(1);
});

test("accepting can be paused for a reason and taken up again", async () => {
  const relay = await startReceiving();
  relay.receiver.pauseAccepting("the disk has failed");

  await expect(relay.client()).rejects.toThrow("421 4.3.2 No new messages now: the disk has failed");
  relay.receiver.pauseAccepting(null);
  await relay.client();
  expect(relay.receiver.counts().sessions).toBe(1);
});

test("a relay that delivers nothing for a while still takes mail", async () => {
  const relay = await startReceiving({ paused: true });
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  await client.say(`${minimal}.`, 250);
  expect(relay.accepted).toHaveLength(1);
});

test("stopping ends idle sessions at once, running transactions after their reply", async () => {
  const relay = await startReceiving();
  const idle = await relay.submitter();
  const busy = await relay.submitter();
  await busy.begin("a@example.com", "b@example.org");
  const port = relay.receiver.ports().get("submission") ?? 0;

  let isStopped = false;
  const stopped = relay.receiver.stop({ graceSeconds: 30 }).then(() => (isStopped = true));
  await idle.expect("421 4.3.2 Shutting down");
  await idle.expectClosed();
  await expect(SmtpClient.connect({ port })).rejects.toThrow("ECONNREFUSED");
  await relay.clock.advance(29_000);
  expect(isStopped).toBe(false);
  await busy.say(`${minimal}.`, 250);
  await busy.expect("421 4.3.2");
  await stopped;

  expect(relay.accepted).toHaveLength(1);
  expect(relay.receiver.counts()).toEqual({ sessions: 0, transactions: 0 });
  await vi.waitFor(() => expect(relay.clock.pending).toBe(0));
});

test("a transaction that does not end within the grace hears 421 and leaves nothing", async () => {
  const relay = await startReceiving();
  const busy = await relay.submitter();
  await busy.begin("a@example.com", "b@example.org");
  busy.raw(minimal);

  const stopped = relay.receiver.stop({ graceSeconds: 30 });
  await relay.clock.advance(30_000);
  await busy.expect("421 4.3.2");
  await busy.expectClosed();
  await stopped;

  expect(relay.disk.contents.size).toBe(0);
});

test("a client that ignores every word is dropped at last", async () => {
  const relay = await startReceiving();
  const deaf = await relay.client();
  deaf.ignore();

  const stopped = relay.receiver.stop({ graceSeconds: 30 });
  await relay.clock.advance(35_000);
  await stopped;

  await vi.waitFor(() => expect(relay.receiver.counts().sessions).toBe(0));
});

test("what is logged of a message holds no address in the clear", async () => {
  const lines: string[] = [];
  const relay = await startReceiving({}, { logTo: lines });
  const client = await relay.submitter();
  await client.begin("secret.person@example.com", "another.person@example.org");
  await client.say("From: secret.person@example.com\r\n\r\n.", 250);
  await client.login("app", "hunter2", 503);

  expect(lines.some((line) => line.includes("message queued"))).toBe(true);
  expect(lines.join("")).not.toMatch(/person|hunter2/);
});
