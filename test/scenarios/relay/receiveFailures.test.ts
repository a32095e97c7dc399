/** Clients that vanish, and a store that fails: nothing is left behind, nothing is promised in vain. */
import { expect, test, vi } from "vitest";

import type { ContentWriter, Spool } from "../../../relay/queue/spool.ts";
import { type Receiving, startReceiving } from "../../support/receiving.ts";
import type { SmtpClient } from "../../support/smtpClient.ts";

const minimal = "From: a@example.com\r\n\r\nHello\r\n";

/** Each leaves the client at a step from which it vanishes. */
const steps: readonly [string, (relay: Receiving) => Promise<SmtpClient>][] = [
  ["after the greeting", (relay) => relay.client()],
  [
    "in the middle of a command",
    async (relay) => {
      const client = await relay.client();
      client.raw("EHLO cli");
      return client;
    },
  ],
  [
    "after STARTTLS",
    async (relay) => {
      const client = await relay.client();
      await client.say("EHLO client.example", 250);
      await client.say("STARTTLS", 220);
      return client;
    },
  ],
  [
    "in the middle of AUTH",
    async (relay) => {
      const client = await relay.client({ listener: "submissions", tls: true });
      await client.say("EHLO client.example", 250);
      await client.say("AUTH LOGIN", 334);
      return client;
    },
  ],
  [
    "while its password is looked at",
    async (relay) => {
      const client = await relay.client({ listener: "submissions", tls: true });
      await client.say("EHLO client.example", 250);
      client.raw(`AUTH PLAIN ${Buffer.from("\0app\0secret").toString("base64")}\r\n`);
      return client;
    },
  ],
  [
    "after MAIL",
    async (relay) => {
      const client = await relay.submitter();
      await client.say("MAIL FROM:<a@example.com>", 250);
      return client;
    },
  ],
  [
    "right after DATA, before 354",
    async (relay) => {
      const client = await relay.submitter();
      await client.say("MAIL FROM:<a@example.com>", 250);
      await client.say("RCPT TO:<b@example.org>", 250);
      client.raw("DATA\r\n");
      return client;
    },
  ],
  [
    "after 354",
    async (relay) => {
      const client = await relay.submitter();
      await client.begin("a@example.com", "b@example.org");
      return client;
    },
  ],
  [
    "in the middle of the content",
    async (relay) => {
      const client = await relay.submitter();
      await client.begin("a@example.com", "b@example.org");
      client.raw(minimal);
      return client;
    },
  ],
  [
    "one byte before the end",
    async (relay) => {
      const client = await relay.submitter();
      await client.begin("a@example.com", "b@example.org");
      client.raw(`${minimal}.\r`);
      return client;
    },
  ],
];

test.each(steps)("a client that vanishes %s leaves nothing behind", async (_, reach) => {
  const watched = watchedSpool();
  const relay = await startReceiving({}, watched);

  const client = await reach(relay);
  client.vanish();

  await vi.waitFor(() => expect(relay.receiver.counts()).toEqual({ sessions: 0, transactions: 0 }));
  await vi.waitFor(() => expect(watched.open()).toBe(0));
  expect(relay.accepted).toEqual([]);
  expect(relay.disk.contents.size).toBe(0);
  await vi.waitFor(() => expect(relay.clock.pending).toBe(0));
});

test("a client that vanishes while the store makes room leaves nothing behind", async () => {
  const watched = watchedSpool();
  const gate = Promise.withResolvers<void>();
  const relay = await startReceiving(
    {},
    {
      spool: (plain) => {
        const spool = watched.spool(plain);
        return withBegin(spool, async (id) => {
          await gate.promise;
          return spool.begin(id);
        });
      },
    },
  );
  const client = await relay.submitter();
  await client.say("MAIL FROM:<a@example.com>", 250);
  await client.say("RCPT TO:<b@example.org>", 250);
  client.raw("DATA\r\n");
  client.vanish();
  await vi.waitFor(() => expect(relay.receiver.counts().sessions).toBe(0));

  gate.resolve();
  await vi.waitFor(() => expect(watched.begun()).toBe(1));
  await vi.waitFor(() => expect(watched.open()).toBe(0));
});

test("a message whose end was read is kept though its client does not wait for the reply", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();
  await client.begin("a@example.com", "b@example.org");
  client.raw(`${minimal}.\r\n`);
  client.end();

  await vi.waitFor(() => expect(relay.accepted).toHaveLength(1));
  expect(relay.disk.contents.size).toBe(1);
});

test("a client that closes its half inside the content has sent no message", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();
  await client.begin("a@example.com", "b@example.org");
  client.raw(`${minimal}.`);
  client.end();

  await vi.waitFor(() => expect(relay.receiver.counts().sessions).toBe(0));
  expect(relay.disk.contents.size).toBe(0);
});

test("a store that fails at the commit makes the reply fail, and works again later", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  relay.disk.failure = "EIO: i/o error";
  await client.say(`${minimal}.`, "451 4.3.0 The queue cannot store messages now");
  await client.say("MAIL FROM:<a@example.com>", "451 4.3.0");
  expect(relay.accepted).toEqual([]);
  expect(relay.disk.contents.size).toBe(0);

  relay.disk.failure = null;
  await relay.spool.probe();
  await client.begin("a@example.com", "b@example.org");
  await client.say(`${minimal}.`, 250);
});

test("a store that fails in the middle of a large message is answered after its end", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  client.raw(`${minimal}${`${"x".repeat(98)}\r\n`.repeat(300)}`);
  relay.disk.failure = "EIO: i/o error";
  await client.say(`${`${"x".repeat(98)}\r\n`.repeat(300)}.`, "451 4.3.0");
  expect(relay.disk.contents.size).toBe(0);
});

test("a full store has its own code, at DATA and then at MAIL", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();
  await client.say("MAIL FROM:<a@example.com>", 250);
  await client.say("RCPT TO:<b@example.org>", 250);

  relay.disk.full = true;
  await client.say("DATA", "452 4.3.1 The queue is full");
  await client.say("MAIL FROM:<a@example.com>", "452 4.3.1");
  relay.disk.full = false;
  await relay.spool.probe();
  await client.begin("a@example.com", "b@example.org");
  await client.say(`${minimal}.`, 250);

  expect(relay.accepted).toHaveLength(1);
});

test("a store that is slow slows the client down and nothing piles up in memory", async () => {
  const gate = Promise.withResolvers<void>();
  let taken = 0;
  const relay = await startReceiving(
    {
      limits: { messageSizeBytes: 50_000_000, recipientsPerMessage: 5, sessions: 50, sessionsPerClient: 20 },
    },
    {
      spool: (plain) =>
        withWriter(plain, (writer) => ({
          ...writer,
          async write(...chunks) {
            for (const chunk of chunks) taken += chunk.length;
            await gate.promise;
            return writer.write(...chunks);
          },
        })),
    },
  );
  const client = await relay.submitter();
  await client.begin("a@example.com", "b@example.org");
  const body = `${"x".repeat(998)}\r\n`.repeat(20_000);
  client.raw(minimal + body);
  client.raw(".\r\n");

  await vi.waitFor(() => expect(taken).toBeGreaterThan(0));
  const others = await relay.submitter({ from: "127.0.0.8" });
  await others.say("NOOP", 250);
  // One packet's worth was handed over; the rest waits in the client's and the kernel's buffers.
  expect(taken).toBeLessThan(1_000_000);
  gate.resolve();
  await client.expect(250);
  expect(relay.accepted[0]?.sizeBytes).toBeGreaterThan(body.length);
});

/** A spool that counts writers: begun at all, and not ended yet. */
function watchedSpool(): { spool: (plain: Spool) => Spool; open: () => number; begun: () => number } {
  let open = 0;
  let begun = 0;
  return {
    open: () => open,
    begun: () => begun,
    spool: (plain) =>
      withWriter(plain, (writer) => {
        open++;
        begun++;
        return {
          ...writer,
          commit: (message) => writer.commit(message).finally(() => open--),
          abort: () => writer.abort().finally(() => open--),
        };
      }),
  };
}

function withWriter(plain: Spool, wrap: (writer: ContentWriter) => ContentWriter): Spool {
  return withBegin(plain, async (id) => wrap(await plain.begin(id)));
}

function withBegin(plain: Spool, begin: Spool["begin"]): Spool {
  return new Proxy(plain, {
    get(target, property) {
      if (property === "begin") return begin;
      const value: unknown = Reflect.get(target, property, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}
