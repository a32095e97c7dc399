/** What holds mail back: allowances, backoffs, pauses, connections; and that it lets go again. */
import { expect, test } from "vitest";

import { aConfig, aSource, hours, minutes, QueueDriver, row } from "../../support/queueDriver.ts";
import { refused, unreachable } from "../../support/scriptedDeliverer.ts";

const many = (count: number, domain: string) =>
  Array.from({ length: count }, (_, index) => `u${index}@${domain}`);
const google = (story: QueueDriver, ...domains: string[]) => {
  for (const domain of domains) story.dns.mx(domain, "gmail-smtp-in.l.google.com");
};

test("a day's allowance is spent to the last recipient, and the rest goes after UTC midnight", async () => {
  const source = aSource({ name: "a", allowance: [row("2026-11-23", 10), row("2026-11-24", 20)] });
  const story = await QueueDriver.open({ config: aConfig({ sources: [source] }) });

  const id = await story.send({ to: many(25, "inbox.test") });

  expect(story.peers.delivered).toHaveLength(10);
  expect(story.used()).toMatchObject({ "a total 2026-11-23": 10, "a other 2026-11-23": 10 });
  expect(await story.why(id)).toEqual({
    kind: "Allowance",
    text: "the day's allowance is spent: 10 of 10 used on a (warm-up, 2026-11-23); sending goes on at 2026-11-24 00:00:00Z",
    until: "2026-11-24T00:00:00.000Z",
  });
  expect((await story.engine.explain(id))?.waiting[0]?.attempts).toBe(0);
  expect(story.engine.report().restraints).toMatchObject([
    { source: "a", kind: "Allowance", until: "2026-11-24T00:00:00.000Z" },
  ]);

  await story.clock.advance(11 * hours + 59 * minutes);
  expect(story.peers.delivered).toHaveLength(10);
  await story.clock.advance(1 * minutes);
  expect(story.peers.delivered).toHaveLength(25);
  expect(story.used()).toMatchObject({ "a total 2026-11-24": 15 });
});

test("waiting costs one timer and no polling, however much waits", async () => {
  const source = aSource({ name: "a", allowance: [row("2026-11-23", 0), row("2026-11-24", 1000)] });
  const story = await QueueDriver.open({ config: aConfig({ sources: [source] }) });
  for (const to of many(300, "inbox.test")) await story.send({ to });
  const asked = story.dns.asked.length;

  await story.clock.advance(11 * hours);
  expect(story.clock.pending).toBe(1);
  expect(story.dns.asked).toHaveLength(asked);
  expect(story.peers.jobs).toHaveLength(0);
});

test("a provider's part of the allowance binds that provider only", async () => {
  const source = aSource({ name: "a", allowance: [row("2026-11-23", 100, { google: 3 })] });
  const story = await QueueDriver.open({ config: aConfig({ sources: [source] }) });
  google(story, "gmail.test", "company.test");

  await story.send({ to: many(5, "gmail.test") });
  const waiting = await story.send({ to: many(2, "company.test") });
  await story.send({ to: many(7, "inbox.test") });

  expect(story.peers.delivered).toHaveLength(10);
  expect((await story.why(waiting))?.text).toContain("3 of 3 used for google on a (warm-up, 2026-11-23)");
  expect(story.used()).toMatchObject({ "a google 2026-11-23": 3, "a total 2026-11-23": 10 });
});

test("refused and deferred recipients give their allowance back", async () => {
  const source = aSource({ name: "a", allowance: [row("2026-11-23", 4)] });
  const story = await QueueDriver.open({ config: aConfig({ sources: [source] }) });
  story.peers.on("@gone.test", refused("550 5.1.1 no")).on("@later.test", refused("450 4.2.0 later"));

  await story.send({ to: many(3, "gone.test"), from: "" });
  await story.send({ to: many(3, "later.test") });
  await story.send({ to: many(4, "inbox.test") });

  expect(story.peers.delivered).toHaveLength(4);
  expect(story.used()).toMatchObject({ "a total 2026-11-23": 4 });
});

test("units that come back are used by whoever waits for them, not only after midnight", async () => {
  const sources = [aSource({ name: "a", allowance: [row("2026-11-23", 2)] })];
  const story = await QueueDriver.open({ config: aConfig({ sources }) });
  story.peers.hold();
  await story.send({ to: "one@inbox.test" });
  await story.send({ to: "two@elsewhere.test" });
  const third = await story.send({ to: "three@google.test" });
  google(story, "google.test");
  expect(await story.why(third)).toMatchObject({ kind: "Allowance", until: "2026-11-24T00:00:00.000Z" });

  story.peers.on("one@inbox.test", refused("550 5.1.1 no such user"));
  story.peers.release();
  await story.settle();

  expect(story.peers.delivered).toEqual(["two@elsewhere.test", "three@google.test"]);
  expect(story.used()).toMatchObject({ "a total 2026-11-23": 2 });
});

test("a second address takes what the first may no longer send", async () => {
  const sources = [
    aSource({ name: "a", allowance: [row("2026-11-23", 3)] }),
    aSource({ name: "b", allowance: [row("2026-11-23", 3)] }),
  ];
  const story = await QueueDriver.open({ config: aConfig({ sources }) });

  for (const to of many(8, "inbox.test")) await story.send({ to });

  expect(story.used()).toMatchObject({ "a total 2026-11-23": 3, "b total 2026-11-23": 3 });
  expect(story.peers.delivered).toHaveLength(6);
  // Least used part first: both advance together.
  const [first, second] = story.peers.jobs.map(({ source }) => source);
  expect(first).not.toBe(second);
});

test("before the first row of an address nothing is sent from it", async () => {
  const source = aSource({ name: "a", allowance: [row("2026-11-25", 10)] });
  const story = await QueueDriver.open({ config: aConfig({ sources: [source] }) });

  const id = await story.send({ to: "one@inbox.test" });
  expect(await story.why(id)).toMatchObject({ kind: "Allowance", until: "2026-11-25T00:00:00.000Z" });

  await story.clock.advance(36 * hours);
  expect(story.peers.delivered).toEqual(["one@inbox.test"]);
});

test("a limit lowered below what is used stops the rest; a limit raised lets it go", async () => {
  const withLimit = (limit: number) =>
    aConfig({ sources: [aSource({ name: "a", allowance: [row("2026-11-23", limit)] })] });
  const story = await QueueDriver.open({ config: withLimit(10) });
  await story.send({ to: many(8, "inbox.test") });

  story.apply(withLimit(5));
  const id = await story.send({ to: many(8, "inbox.test") });
  expect(story.peers.delivered).toHaveLength(8);
  expect((await story.why(id))?.text).toContain("8 of 5 used on a");

  story.apply(withLimit(12));
  await story.settle();
  expect(story.peers.delivered).toHaveLength(12);
});

test("what starts before midnight counts to the day it started on", async () => {
  const source = aSource({ name: "a", allowance: [row("2026-11-23", 5), row("2026-11-24", 5)] });
  const story = await QueueDriver.open({
    start: "2026-11-23T23:59:30Z",
    config: aConfig({ sources: [source] }),
  });
  story.peers.hold();

  await story.send({ to: many(5, "slow.test") });
  await story.clock.advance(1 * minutes);
  story.peers.release();
  await story.settle();
  await story.send({ to: many(5, "inbox.test") });

  expect(story.used()).toMatchObject({ "a total 2026-11-23": 5, "a total 2026-11-24": 5 });
  expect(story.peers.delivered).toHaveLength(10);
});

test("Gmail's rate limit: ten minutes of silence, then one connection, then one more at a time", async () => {
  const story = await QueueDriver.open();
  google(story, "gmail.test");
  story.peers.on("@gmail.test", refused("421 4.7.28 unusual rate of mail from 192.0.2.10", "mail"), {
    times: 1,
  });

  const told = await story.send({ to: "first@gmail.test" });
  const waiting: string[] = [];
  for (const to of many(12, "gmail.test")) waiting.push(await story.send({ to }));

  expect(story.peers.jobs).toHaveLength(1);
  expect((await story.engine.explain(waiting[0] ?? ""))?.waiting[0]).toMatchObject({
    site: "gmail-smtp-in.l.google.com",
    provider: "google",
    rule: {
      kind: "Backoff",
      text: expect.stringMatching(
        /^provider google on address a is silent until 2026-11-23 12:1\d:\d\dZ \(421 4\.7\.28, rule google\/rate-4\.7\.28\)$/,
      ),
    },
    nextLimits: ["then 1 connection, one more each time as many messages went well"],
  });
  expect((await story.engine.explain(told))?.waiting[0]?.last).toMatchObject({
    code: 421,
    rule: "google/rate-4.7.28",
  });
  expect(story.engine.report().restraints).toMatchObject([
    { source: "a", provider: "google", kind: "Backoff", reason: "421 4.7.28 (rule google/rate-4.7.28)" },
  ]);

  await story.clock.advance(10 * minutes - 1000);
  expect(story.peers.jobs).toHaveLength(1);

  // Transactions are held in rounds, so that how many run together can be seen.
  const running: number[] = [];
  story.peers.hold();
  await story.clock.advance(2 * minutes);
  while (story.peers.running > 0) {
    running.push(story.peers.running);
    story.peers.release();
    story.peers.hold();
    await story.settle();
  }
  expect(running).toEqual([1, 2, 3, 4, 3]);
  expect(story.peers.delivered).toHaveLength(13);
  // As many as the provider takes: nothing is held back any more.
  expect(story.engine.report().restraints).toEqual([]);
});

test("a backoff of one address leaves the other free", async () => {
  const story = await QueueDriver.open({
    config: aConfig({ sources: [aSource({ name: "a" }), aSource({ name: "b" })] }),
  });
  google(story, "gmail.test");
  story.peers.on("@gmail.test", refused("421 4.7.28 unusual rate", "mail"), { source: "a" });

  for (const to of many(10, "gmail.test")) await story.send({ to });

  const sources = story.peers.jobs.map(({ source }) => source);
  expect(sources.filter((source) => source === "a").length).toBeLessThanOrEqual(1);
  expect(story.peers.delivered.length).toBeGreaterThanOrEqual(9);
});

test("one tenant's dead server at a provider stops no other tenant of it", async () => {
  const story = await QueueDriver.open();
  story.dns.mx("dead.test", "dead-test.mail.protection.outlook.com");
  story.dns.mx("alive.test", "alive-test.mail.protection.outlook.com");
  story.peers.on("@dead.test", unreachable());

  await story.send({ to: "one@dead.test" });
  await story.send({ to: "one@alive.test" });

  expect(story.peers.delivered).toEqual(["one@alive.test"]);
});

test("a paused address finishes what is in flight and starts nothing", async () => {
  const story = await QueueDriver.open();
  story.peers.hold();
  await story.send({ to: "flying@inbox.test" });

  story.apply(aConfig({ sources: [aSource({ name: "a", state: "Paused", stateReason: "PTR is missing" })] }));
  const id = await story.send({ to: "next@inbox.test" });
  story.peers.release();
  await story.settle();

  expect(story.peers.delivered).toEqual(["flying@inbox.test"]);
  expect(await story.why(id)).toEqual({
    kind: "SourcePaused",
    text: "address a is paused: PTR is missing",
    until: null,
  });
  expect(story.engine.report().restraints).toMatchObject([
    { source: "a", kind: "Paused", reason: "PTR is missing" },
  ]);

  story.apply(aConfig());
  await story.settle();
  expect(story.peers.delivered).toEqual(["flying@inbox.test", "next@inbox.test"]);
});

test("a held domain waits while the others send, and expires all the same", async () => {
  const held = aConfig({
    domains: [
      { domain: "example.test", state: "Held", reason: "DKIM key not published", dkim: [] },
      { domain: "other.test", state: "Active", reason: "", dkim: [] },
    ],
  });
  const story = await QueueDriver.open({ config: held });

  const waits = await story.send({ to: "one@inbox.test" });
  const brief = await story.send({ to: "two@inbox.test", expiresInMs: 1 * hours });
  await story.send({ to: "three@inbox.test", sendingDomain: "other.test" });

  expect(story.peers.delivered).toEqual(["three@inbox.test"]);
  expect(await story.why(waits)).toEqual({
    kind: "DomainHeld",
    text: "sending domain example.test is held: DKIM key not published",
    until: null,
  });

  await story.clock.advance(1 * hours);
  expect(await story.engine.explain(brief)).toBeNull();
  expect(story.notices[0]?.recipients[0]?.recipient).toMatchObject({
    attempts: 0,
    state: { reason: "Expired" },
  });

  story.apply(aConfig());
  await story.settle();
  expect(story.peers.delivered).toContain("one@inbox.test");
});

test("a paused relay accepts and keeps, and mail expires in it", async () => {
  const story = await QueueDriver.open({ config: aConfig({ paused: true }) });
  const id = await story.send({ to: "one@inbox.test" });
  const brief = await story.send({ to: "two@inbox.test", from: "", expiresInMs: 1 * hours });

  await story.clock.advance(2 * hours);
  expect(story.peers.jobs).toHaveLength(0);
  expect(await story.engine.explain(brief)).toBeNull();
  expect(await story.why(id)).toEqual({
    kind: "RelayPaused",
    text: "relay mail is paused (spec.paused)",
    until: null,
  });

  story.apply(aConfig());
  await story.settle();
  expect(story.peers.delivered).toEqual(["one@inbox.test"]);
});

test("mail that waits for its allowance expires as well", async () => {
  const source = aSource({ name: "a", allowance: [row("2026-11-23", 0)] });
  const story = await QueueDriver.open({ config: aConfig({ sources: [source] }) });

  const id = await story.send({ to: "one@inbox.test", from: "", expiresInMs: 30 * hours });
  await story.clock.advance(29 * hours);
  expect(await story.why(id)).toMatchObject({ kind: "Allowance" });
  await story.clock.advance(1 * hours);

  expect(await story.engine.explain(id)).toBeNull();
  expect(story.engine.report().queue.messages).toBe(0);
});

test("no more transactions at once than the provider takes from an address, whatever the number of its sites", async () => {
  const story = await QueueDriver.open();
  const domains = Array.from({ length: 20 }, (_, index) => `tenant${index}.test`);
  for (const domain of domains)
    story.dns.mx(domain, `${domain.replace(".", "-")}.mail.protection.outlook.com`);
  story.peers.hold();

  const ids: string[] = [];
  for (const domain of domains) ids.push(await story.send({ to: `one@${domain}` }));

  expect(story.peers.running).toBe(5);
  expect(await story.why(ids.at(-1) ?? "")).toMatchObject({
    kind: "ConnectionLimit",
    text: expect.stringMatching(
      /^all 5 connections of address a to provider office365 are in use: the limit of office365/,
    ),
  });

  story.peers.release();
  await story.settle();
  expect(story.peers.delivered).toHaveLength(20);
  expect(story.peers.peak).toBe(5);
});

test("the cap on transactions of the whole process holds", async () => {
  const story = await QueueDriver.open({ limits: { transactions: 7 } });
  story.peers.hold();
  for (let site = 0; site < 30; site++) await story.send({ to: `one@site${site}.test` });
  // To sites that have not answered yet, half of it.
  expect(story.peers.running).toBe(3);
  story.peers.release();
  await story.settle();
  expect(story.peers.delivered).toHaveLength(30);

  story.peers.hold();
  for (let site = 0; site < 30; site++) await story.send({ to: `two@site${site}.test` });
  expect(story.peers.running).toBe(7);
  story.peers.release();
  await story.settle();
  expect(story.peers.delivered).toHaveLength(60);
  expect(story.peers.peak).toBe(7);
});

test("a smart host gets its port, its TLS and its password, and its absence bounces nobody", async () => {
  const config = aConfig({
    routes: [
      {
        name: "partner",
        recipientDomains: ["*.partner.test", "partner.test"],
        to: {
          kind: "smarthost",
          host: "smtp.partner.test",
          port: 465,
          tls: "Verify",
          username: "relay",
          passwordFile: "route.partner",
          pool: null,
        },
      },
      { name: "rest", recipientDomains: [], to: { kind: "pool", pool: "default" } },
    ],
  });
  const story = await QueueDriver.open({ config });
  story.dns.answers.set("smtp.partner.test", {
    kind: "unroutable",
    permanent: true,
    enhanced: "5.1.2",
    reason: "no such host",
  });

  const id = await story.send({ to: ["one@partner.test", "two@eu.partner.test"] });
  expect(story.notices).toHaveLength(0);
  expect(await story.why(id)).toMatchObject({ kind: "Retry" });

  story.dns.mx("smtp.partner.test", "smtp.partner.test");
  await story.clock.advance(6 * minutes);
  expect(story.peers.jobs[0]).toMatchObject({
    recipients: ["one@partner.test", "two@eu.partner.test"],
    port: 465,
    job: {
      source: { name: "system", address: null, ehloName: "mail.example.com" },
      tls: { mode: "Verify", implicit: true },
      auth: { username: "relay", password: "secret of route.partner" },
    },
  });
});

test("a smart host gets as many connections as its owner allows, and a new number at once", async () => {
  const config = (connections: number) =>
    aConfig({
      routes: [
        {
          name: "partner",
          recipientDomains: [],
          to: {
            kind: "smarthost",
            host: "smtp.partner.test",
            port: 587,
            tls: "Verify",
            username: null,
            passwordFile: null,
            pool: null,
            connections,
          },
        },
      ],
    });
  const story = await QueueDriver.open({ config: config(3) });
  story.dns.mx("smtp.partner.test", "smtp.partner.test");
  await story.send({ to: "first@partner.test" });
  await story.settle();
  story.peers.hold();
  const ids = [];
  for (let count = 0; count < 10; count++) ids.push(await story.send({ to: `to${count}@partner.test` }));
  await story.settle();
  expect(story.peers.running).toBe(3);
  expect(await story.why(ids.at(-1) ?? "")).toMatchObject({
    kind: "ConnectionLimit",
    text: expect.stringContaining("all 3 connections") as string,
  });

  story.apply(config(5));
  await story.settle();
  expect(story.peers.running).toBe(5);
  story.peers.release();
  await story.settle();
  expect(story.peers.delivered).toHaveLength(11);
});

test("a route without addresses says so, and a new configuration sends its mail", async () => {
  const story = await QueueDriver.open({ config: aConfig({ sources: [] }) });
  const id = await story.send({ to: "one@inbox.test" });
  expect(await story.why(id)).toEqual({
    kind: "NoSource",
    text: "pod mail-0 has no address of pool default (route rest)",
    until: null,
  });

  story.apply(
    aConfig({
      routes: [{ name: "some", recipientDomains: ["other.test"], to: { kind: "pool", pool: "default" } }],
    }),
  );
  await story.settle();
  expect(await story.why(id)).toEqual({
    kind: "NoSource",
    text: "no route of the configuration takes inbox.test",
    until: null,
  });

  story.apply(aConfig());
  await story.settle();
  expect(story.peers.delivered).toEqual(["one@inbox.test"]);
});
