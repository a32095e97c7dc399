/** Queue classes on the way in: who says which one a message is in, and what is refused. */
import { expect, test } from "vitest";

import { credentials, receivingConfig, startReceiving } from "../../support/receiving.ts";

const { queue } = receivingConfig();
const classes = {
  credentials: credentials.map((credential) =>
    credential.name === "app" ? { ...credential, queueClass: "standard" } : credential,
  ),
  queue: {
    ...queue,
    classes: [
      { name: "transactional", priority: "High", expireAfterSeconds: 86_400 },
      { name: "standard", priority: "Normal" },
      { name: "bulk", priority: "Low", expireAfterSeconds: 172_800 },
    ],
  },
} satisfies Parameters<typeof startReceiving>[0];
const mail = (...fields: string[]) =>
  ["From: a@example.com", ...fields, "Subject: Hi", "", "Hello", "."].join("\r\n");
const hour = 3_600_000;

test("the header field names the class, and receivers never see it", async () => {
  const relay = await startReceiving(classes);
  const client = await relay.submitter({ username: "all" });

  await client.begin("a@example.com", "b@example.org");
  await client.say(mail("x-queue-class: Bulk"), "250 2.0.0");

  const [message] = relay.accepted;
  expect(message).toMatchObject({ queueClass: "bulk", credential: "all" });
  expect((message?.expiresAt ?? 0) - (message?.receivedAt ?? 0)).toBe(48 * hour);
  expect(relay.stored()).not.toMatch(/queue-class/i);
  expect(relay.stored()).toContain("\r\nSubject: Hi\r\n");
});

test("without the field the credential's class holds, and without that default, which is not even stored", async () => {
  const relay = await startReceiving(classes);
  for (const username of ["app", "all"]) {
    const client = await relay.submitter({ username });
    await client.begin("a@example.com", "b@example.org");
    await client.say(mail(), "250 2.0.0");
  }

  expect(relay.accepted.map(({ queueClass }) => queueClass)).toEqual(["standard", undefined]);
  expect(relay.accepted.map(({ receivedAt, expiresAt }) => (expiresAt - receivedAt) / hour)).toEqual([
    120, 120,
  ]);
});

test("a class that does not exist is refused with those that do", async () => {
  const relay = await startReceiving(classes);
  const client = await relay.submitter({ username: "all" });

  await client.begin("a@example.com", "b@example.org");
  await client.say(
    mail("X-Queue-Class: bulkk"),
    '554 5.6.0 X-Queue-Class names "bulkk", which is no class of this relay (default, transactional, standard, bulk)',
  );
  await client.begin("a@example.com", "b@example.org");
  await client.say(mail("X-Queue-Class: bulk", "X-Queue-Class: transactional"), "554 5.6.0");
  expect(relay.accepted).toEqual([]);
});

test("a relay without classes refuses the field rather than pass it over", async () => {
  const relay = await startReceiving();
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  await client.say(mail("X-Queue-Class: bulk"), "554 5.6.0");
  await client.begin("a@example.com", "b@example.org");
  await client.say(mail("X-Queue-Class: default"), "250 2.0.0");
  expect(relay.accepted).toHaveLength(1);
});

test("a credential with a class may lower its mail, not raise it", async () => {
  const relay = await startReceiving(classes);
  const client = await relay.submitter();

  await client.begin("a@example.com", "b@example.org");
  await client.say(
    mail("X-Queue-Class: transactional"),
    "550 5.7.1 X-Queue-Class names transactional (High), the credential app may send up to Normal",
  );
  await client.begin("a@example.com", "b@example.org");
  await client.say(mail("X-Queue-Class: bulk"), "250 2.0.0");
  expect(relay.accepted.map(({ queueClass }) => queueClass)).toEqual(["bulk"]);
});

test("a session follows a change of classes at the next message", async () => {
  const relay = await startReceiving(classes);
  const client = await relay.submitter();
  await relay.apply({
    credentials: credentials.map((credential) => ({ ...credential, queueClass: "bulk" })),
  });

  await client.begin("a@example.com", "b@example.org");
  await client.say(mail(), "250 2.0.0");

  expect(relay.accepted[0]?.queueClass).toBe("bulk");
});
