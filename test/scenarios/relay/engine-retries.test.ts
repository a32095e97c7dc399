/** The life of a message in the queue: delivered, deferred on the schedule, bounced, expired. */
import { expect, test } from "vitest";

import { aConfig, aSource, days, hours, minutes, QueueDriver } from "../../support/queueDriver.ts";
import { refused, unreachable } from "../../support/scriptedDeliverer.ts";

test("a message is delivered at once, signed, and leaves the queue and the disk", async () => {
  const story = await QueueDriver.open();

  const id = await story.send({ to: "one@inbox.test", body: "hello" });

  expect(story.peers.delivered).toEqual(["one@inbox.test"]);
  expect(story.peers.jobs[0]?.content).toBe("DKIM-Signature: test\r\nSubject: story\r\n\r\nhello\r\n");
  expect(story.peers.jobs[0]?.job).toMatchObject({
    source: { name: "a", ehloName: "a.mail.example.com" },
    site: "mx.inbox.test",
    port: 25,
    sizeBytes: story.peers.jobs[0]?.content.length,
  });
  expect(await story.engine.explain(id)).toBeNull();
  expect(story.disk.contents.size).toBe(0);
  expect(story.engine.report()).toMatchObject({
    queue: { messages: 0, recipients: 0, oldestSeconds: null },
    counters: [{ source: "a", provider: "other", day: "2026-11-23", delivered: 1, deferred: 0 }],
  });
});

test("a deferred message comes back after 5, 10, 20, 40 min, 1, 2, 3 h, then every 4 h, within 15 %", async () => {
  const story = await QueueDriver.open();
  story.peers.on("@inbox.test", refused("450 4.3.0 not now"));

  await story.send({ to: "one@inbox.test" });
  await story.clock.advance(24 * hours);

  const gaps = story.peers.jobs.slice(1).map(({ at }, index) => at - (story.peers.jobs[index]?.at ?? 0));
  const planned = [5, 10, 20, 40, 60, 120, 180, 240, 240, 240].map((delay) => delay * minutes);
  expect(gaps.length).toBeGreaterThanOrEqual(planned.length - 1);
  gaps.slice(0, planned.length).forEach((gap, index) => {
    expect(gap).toBeGreaterThanOrEqual((planned[index] ?? 0) * 0.85);
    expect(gap).toBeLessThanOrEqual((planned[index] ?? 0) * 1.15);
  });
});

test("after its expiry a message bounces with one notice, and the notice is delivered", async () => {
  const story = await QueueDriver.open();
  story.peers.on("@inbox.test", refused("450 4.3.0 not now"));

  const id = await story.send({ to: "one@inbox.test" });
  await story.clock.advance(5 * days + 1 * minutes);

  expect(await story.engine.explain(id)).toBeNull();
  expect(story.notices).toHaveLength(1);
  expect(story.notices[0]?.recipients[0]).toMatchObject({
    action: "failed",
    recipient: { address: "one@inbox.test", state: { kind: "bounced", reason: "Expired" } },
  });
  expect(story.notices[0]?.header.toString()).toBe("Subject: story\r\n\r\n");
  expect(story.peers.delivered).toEqual(["sender@example.test"]);
  expect(story.peers.jobs.at(-1)?.job.envelope.from).toBe("");
  expect(story.disk.contents.size).toBe(0);
});

test("each recipient of a message has its own end", async () => {
  const story = await QueueDriver.open();
  story.peers
    .on("gone@inbox.test", refused("550 5.1.1 no such user"))
    .on("full@inbox.test", refused("452 4.2.2 mailbox full"), { times: 1 });

  const id = await story.send({ to: ["ok@inbox.test", "gone@inbox.test", "full@inbox.test"] });

  expect(story.peers.jobs[0]?.recipients).toEqual(["ok@inbox.test", "gone@inbox.test", "full@inbox.test"]);
  const shown = await story.engine.message(id);
  expect(shown?.recipients.map(({ address, state, attempts }) => ({ address, state, attempts }))).toEqual([
    { address: "ok@inbox.test", state: "delivered", attempts: 1 },
    { address: "gone@inbox.test", state: "bounced", attempts: 1 },
    { address: "full@inbox.test", state: "waiting", attempts: 1 },
  ]);
  expect(story.notices[0]?.recipients.map(({ recipient }) => recipient.address)).toEqual(["gone@inbox.test"]);

  await story.clock.advance(10 * minutes);
  expect(story.peers.delivered.toSorted()).toEqual([
    "full@inbox.test",
    "ok@inbox.test",
    "sender@example.test",
  ]);
  expect(await story.engine.explain(id)).toBeNull();
});

test("recipients of many domains at one site share transactions of at most a hundred", async () => {
  const story = await QueueDriver.open();
  const to = Array.from({ length: 250 }, (_, index) => `user${index}@shop${index % 50}.test`);
  for (let shop = 0; shop < 50; shop++) story.dns.mx(`shop${shop}.test`, "mx.hosting.test");

  await story.send({ to });
  await story.settle();

  expect(story.peers.jobs.map(({ recipients }) => recipients.length).toSorted((a, b) => b - a)).toEqual([
    100, 100, 50,
  ]);
  expect(story.peers.delivered.toSorted()).toEqual(to.toSorted());
});

test("too many recipients: the rest goes at once in another transaction, and it was no attempt", async () => {
  const story = await QueueDriver.open();
  story.peers.on("late@inbox.test", refused("452 4.5.3 Too many recipients"), { times: 1 });

  await story.send({ to: ["early@inbox.test", "late@inbox.test"] });
  await story.settle();

  expect(story.peers.delivered).toEqual(["early@inbox.test", "late@inbox.test"]);
  expect(story.clock.now()).toBe(Date.parse("2026-11-23T12:00:00Z"));
});

test("a domain that does not exist bounces at once; one whose DNS fails is tried again", async () => {
  const story = await QueueDriver.open();
  story.dns.answers.set("nowhere.test", {
    kind: "unroutable",
    permanent: true,
    enhanced: "5.1.2",
    reason: "nowhere.test does not exist",
  });
  story.dns.answers.set("shaky.test", {
    kind: "unroutable",
    permanent: false,
    enhanced: "4.4.3",
    reason: "SERVFAIL for shaky.test",
  });

  const gone = await story.send({ to: "one@nowhere.test" });
  const shaky = await story.send({ to: "one@shaky.test" });

  expect(await story.engine.explain(gone)).toBeNull();
  expect(story.notices[0]?.recipients[0]?.recipient.last).toMatchObject({
    enhanced: "5.1.2",
    rule: "dns/5.1.2",
  });
  expect(await story.why(shaky)).toMatchObject({ kind: "Retry" });
  expect((await story.why(shaky))?.text).toContain("SERVFAIL for shaky.test");

  story.dns.answers.delete("shaky.test");
  await story.clock.advance(6 * minutes);
  expect(story.peers.delivered).toContain("one@shaky.test");
});

test("a bounce that cannot be delivered is not bounced", async () => {
  const story = await QueueDriver.open();
  story.peers.on("@inbox.test", refused("550 5.1.1 no")).on("@example.test", refused("550 5.1.1 no"));

  await story.send({ to: "one@inbox.test" });
  await story.settle();

  expect(story.peers.jobs.map(({ recipients }) => recipients)).toEqual([
    ["one@inbox.test"],
    ["sender@example.test"],
  ]);
  expect(story.notices).toHaveLength(1);
  expect(story.disk.contents.size).toBe(0);
});

test("NOTIFY decides who hears of what", async () => {
  const story = await QueueDriver.open();
  story.peers.on("@refusing.test", refused("550 5.1.1 no"));

  await story.send({ to: "one@refusing.test", notify: ["NEVER"] });
  await story.send({ to: "two@refusing.test", notify: ["SUCCESS"] });
  await story.send({ to: "three@inbox.test", notify: ["FAILURE"] });
  expect(story.notices).toHaveLength(0);

  await story.send({ to: "four@inbox.test", notify: ["SUCCESS", "FAILURE"] });
  await story.send({ to: "five@refusing.test", notify: ["FAILURE"] });
  expect(
    story.notices.map(({ recipients }) => [recipients[0]?.recipient.address, recipients[0]?.action]),
  ).toEqual([
    ["four@inbox.test", "relayed"],
    ["five@refusing.test", "failed"],
  ]);
});

test("greylisting is answered from the same address after five to six minutes", async () => {
  const story = await QueueDriver.open({
    config: aConfig({ sources: ["a", "b", "c", "d"].map((name) => aSource({ name })) }),
  });
  story.peers.on("@inbox.test", refused("451 4.7.1 Greylisted, please come back later"), { times: 1 });

  await story.send({ to: "one@inbox.test" });
  await story.clock.advance(6 * minutes + 1);

  const [first, second] = story.peers.jobs;
  expect(second?.source).toBe(first?.source);
  expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(5 * minutes);
  expect(story.peers.delivered).toEqual(["one@inbox.test"]);
});

test("a site that cannot be reached is left alone as a whole, and its mail is not used up on it", async () => {
  const story = await QueueDriver.open();
  story.peers.on("@down.test", unreachable("connect", "connection timed out"));

  const first = await story.send({ to: "one@down.test" });
  const second = await story.send({ to: "two@down.test" });

  expect(story.peers.jobs).toHaveLength(1);
  expect(await story.why(second)).toMatchObject({ kind: "Backoff" });
  expect((await story.why(second))?.text).toMatch(
    /^site mx\.down\.test is not tried from address a until .*connection timed out, rule session\/connect/,
  );
  expect((await story.engine.explain(second))?.waiting[0]?.attempts).toBe(0);
  expect((await story.engine.explain(first))?.waiting[0]).toMatchObject({
    attempts: 1,
    last: { code: 0, enhanced: "4.4.1", text: "connection timed out" },
  });

  // Ten messages an hour would have made thirty attempts by the schedule alone.
  for (let more = 0; more < 10; more++) await story.send({ to: `more${more}@down.test` });
  await story.clock.advance(1 * hours);
  expect(story.peers.jobs.length).toBeLessThan(20);
});
