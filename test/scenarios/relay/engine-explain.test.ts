/** What a person is told: the queue by site, one message, and why it waits. */
import { expect, test } from "vitest";

import { explanation, messageListing, queueListing } from "../../../relay/contract/admin.ts";
import { relayReport } from "../../../relay/contract/report.ts";
import { aConfig, aSource, hours, minutes, QueueDriver, row } from "../../support/queueDriver.ts";
import { refused } from "../../support/scriptedDeliverer.ts";

test("a deferred message tells how often it was tried, what it heard, under which rule, and when it is next", async () => {
  const story = await QueueDriver.open();
  story.peers.on("@inbox.test", refused("450 4.2.0 try later"));
  const id = await story.send({ to: "one@inbox.test" });

  const told = explanation.parse(await story.engine.explain(id));

  expect(told).toMatchObject({
    pod: "mail-0",
    receivedAt: "2026-11-23T12:00:00.000Z",
    expiresAt: "2026-11-28T12:00:00.000Z",
    credential: "app",
    sendingDomain: "example.test",
    recipientCount: 1,
    waiting: [
      {
        address: "one@inbox.test",
        site: "mx.inbox.test",
        provider: "other",
        attempts: 1,
        rule: {
          kind: "Retry",
          text: expect.stringMatching(
            /^tried 1 time, last 450 4\.2\.0 at 2026-11-23 12:00:00Z \(rule generic\/4xx\); next try at 2026-11-23 12:0[45]:\d\dZ$/,
          ),
          since: "2026-11-23T12:00:00.000Z",
        },
        last: { source: "a", host: "mx.inbox.test", code: 450, enhanced: "4.2.0", text: "try later" },
      },
    ],
  });
  const [waiting] = told.waiting;
  expect(waiting?.nextTryAt).toBe(waiting?.rule.until);
});

test("while DNS is asked, a message says so", async () => {
  const story = await QueueDriver.open();
  story.dns.hold();
  const id = await story.send({ to: "one@inbox.test" });
  expect(await story.why(id)).toEqual({
    kind: "Due",
    text: "looking up where inbox.test takes mail",
    until: null,
  });
  story.dns.release();
  await story.settle();
  expect(story.peers.delivered).toEqual(["one@inbox.test"]);
});

test("of several limits the one that ends last binds, and the others are named as next", async () => {
  const source = aSource({ name: "a", allowance: [row("2026-11-23", 200, { google: 80 })] });
  const story = await QueueDriver.open({ config: aConfig({ sources: [source] }) });
  story.dns.mx("gmail.test", "gmail-smtp-in.l.google.com");
  story.peers.on("@gmail.test", refused("421 4.7.28 unusual rate", "mail"), { times: 1 });

  const id = await story.send({ to: "one@gmail.test" });

  const [waiting] = (await story.engine.explain(id))?.waiting ?? [];
  expect(waiting?.rule.kind).toBe("Backoff");
  expect(waiting?.nextLimits).toEqual([
    expect.stringMatching(/^tried 1 time, last 421 4\.7\.28 .*next try at 2026-11-23 12:0[45]/),
    "then 1 connection, one more each time as many messages went well",
    "80 of 80 left today for google on a (warm-up, 2026-11-23)",
    "200 of 200 left today on a (warm-up, 2026-11-23)",
  ]);

  story.apply(aConfig({ ...story.config, paused: true, sources: [source] }));
  const [paused] = (await story.engine.explain(id))?.waiting ?? [];
  expect(paused?.rule.kind).toBe("RelayPaused");
  expect(paused?.nextTryAt).toBeNull();
  expect(paused?.nextLimits[0]).toMatch(/^provider google on address a is silent/);
});

test("a message waits since it was accepted, where what keeps it was there before", async () => {
  const story = await QueueDriver.open();
  story.peers.on("@inbox.test", refused("450 4.2.0 later"));
  const before = await story.send({ to: "one@inbox.test", sendingDomain: "example.test" });
  const ruleOf = async (id: string) => (await story.engine.explain(id))?.waiting[0]?.rule;
  const states = {
    RelayPaused: { paused: true },
    DomainHeld: {
      domains: [{ domain: "example.test", state: "Held" as const, reason: "no record", dkim: [] }],
    },
    NoSource: { routes: [] },
  };

  for (const [kind, state] of Object.entries(states)) {
    await story.clock.advance(1 * minutes);
    const began = new Date(story.clock.now()).toISOString();
    story.apply({ ...aConfig(), ...state });
    await story.clock.advance(1 * minutes);
    const accepted = new Date(story.clock.now()).toISOString();
    const during = await story.send({ to: "two@other.test" });
    await story.clock.advance(1 * minutes);

    expect(await ruleOf(before)).toMatchObject({ kind, since: began });
    expect(await ruleOf(during)).toMatchObject({ kind, since: accepted });
    story.apply(aConfig());
    await story.settle();
  }
});

test("a line of the queue waits since the message of it that has waited longest", async () => {
  const story = await QueueDriver.open();
  story.peers.on("@inbox.test", refused("450 4.2.0 later"));
  // Due after the others, and here before them.
  await story.send({ to: "one@inbox.test" });
  await story.clock.advance(1 * minutes);
  story.apply(aConfig({ paused: true }));
  await story.clock.advance(1 * minutes);
  await story.send({ to: "two@inbox.test" });

  expect((await story.engine.queueListing()).sites).toMatchObject([
    { recipients: 2, rule: { kind: "RelayPaused", since: "2026-11-23T12:01:00.000Z" } },
  ]);
});

test("a message that cannot be signed waits with the reason, and is no attempt", async () => {
  let keys = false;
  const story = await QueueDriver.open({
    ports: {
      sign: async () => {
        if (!keys) throw new Error("key r2611 of example.test cannot be read");
        return Buffer.alloc(0);
      },
    },
  });
  const id = await story.send({ to: "one@inbox.test" });

  expect(await story.why(id)).toEqual({
    kind: "Retry",
    text: "key r2611 of example.test cannot be read; looked at again at 2026-11-23 12:01:00Z",
    until: "2026-11-23T12:01:00.000Z",
  });
  expect((await story.engine.explain(id))?.waiting[0]?.attempts).toBe(0);

  keys = true;
  await story.clock.advance(1 * minutes);
  expect(story.peers.delivered).toEqual(["one@inbox.test"]);
});

test("the queue is listed by site, with the rule that keeps most of it and a sample of ids", async () => {
  const story = await QueueDriver.open();
  story.dns.mx("gmail.test", "gmail-smtp-in.l.google.com").mx("company.test", "gmail-smtp-in.l.google.com");
  story.peers
    .on("@gmail.test", refused("421 4.7.28 unusual rate", "mail"))
    .on("@partner.test", refused("450 4.2.0 later"));
  const first = await story.send({ to: "one@gmail.test" });
  await story.clock.advance(38_000);
  await story.send({ to: ["two@company.test", "three@company.test"] });
  await story.send({ to: "four@partner.test" });

  const listing = queueListing.parse(await story.engine.queueListing());

  expect(
    listing.sites.map(({ site, provider, recipients, oldestSeconds, rule }) => [
      site,
      provider,
      recipients,
      oldestSeconds,
      rule.kind,
    ]),
  ).toEqual([
    ["gmail-smtp-in.l.google.com", "google", 3, 38, "Backoff"],
    ["mx.partner.test", "other", 1, 0, "Retry"],
  ]);
  expect(listing.sites[0]?.sample[0]).toBe(first);
  expect(listing.sites[0]?.nextTryAt).toMatch(/^2026-11-23T12:1/);
});

test("a message is shown with its header and every recipient", async () => {
  const story = await QueueDriver.open();
  story.peers.on("two@inbox.test", refused("450 4.2.0 later"));
  const id = await story.send({ to: ["one@inbox.test", "two@inbox.test"] });

  expect(messageListing.parse(await story.engine.message(id))).toMatchObject({
    id,
    from: "sender@example.test",
    header: "Subject: story\r\n\r\n",
    recipients: [
      { address: "one@inbox.test", state: "delivered", dueAt: null },
      { address: "two@inbox.test", state: "waiting", attempts: 1 },
    ],
  });
  expect(await story.engine.message("01ARZ3NDEKTSV4RRFFQ69G5FAV")).toBeNull();
});

test("the report names no address, no recipient domain and no host, and fits its contract", async () => {
  const source = aSource({ name: "a", allowance: [row("2026-11-23", 3)] });
  const story = await QueueDriver.open({ config: aConfig({ sources: [source] }) });
  story.peers
    .on("@secret.test", { kind: "unreachable", stage: "connect", reason: "mx.secret.test refused" })
    .on("@slow.test", refused("421 4.7.0 too many connections from mx.slow.test", "greeting"));
  for (const domain of ["secret.test", "slow.test", "inbox.test"]) {
    for (const name of ["one", "two", "three"]) await story.send({ to: `${name}@${domain}` });
  }
  await story.send({ to: "late@inbox.test" });
  await story.clock.advance(1 * hours);

  const said = {
    version: 1,
    pod: "mail-0",
    at: "2026-11-23T12:00:00Z",
    startedAt: "2026-11-23T12:00:00Z",
    appliedRevision: "test",
    refusal: null,
    ready: true,
    notReadyReason: "",
    loadedKeys: [],
    ...story.engine.report(),
  };
  const report = relayReport.parse(said);

  // Whoever reads a report passes over what the contract does not name; the relay says nothing of that kind.
  expect(said).toEqual(report);
  expect(JSON.stringify(report)).not.toMatch(/@|secret|slow|inbox/);
  expect(report.queue).toMatchObject({ messages: 7, recipients: 7, oldestSeconds: 3600 });
  expect(new Set(report.restraints.map(({ kind }) => kind))).toEqual(new Set(["Backoff", "Allowance"]));
  expect(report.usage).toContainEqual({
    source: "a",
    provider: "total",
    day: "2026-11-23",
    used: 3,
    limit: 3,
  });
  expect(report.usageSince).toBe("2026-11-23T12:00:00.000Z");
});
