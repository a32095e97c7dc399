/** What does not end by itself is ended, within a bound, and says so: in the record, the metric and the log. */
import { expect, test } from "vitest";

import { createLog } from "../../../relay/kit/log.ts";
import { noMetrics } from "../../../relay/queue/enginePorts.ts";
import type { EnginePorts } from "../../../relay/queue/enginePorts.ts";
import { createMemorySpool } from "../../../relay/queue/memorySpool.ts";
import { FakeClock } from "../../support/fakeClock.ts";
import { aConfig, hours, minutes, QueueDriver, seconds } from "../../support/queueDriver.ts";

const never = new Promise<never>(() => {});

/** A story that keeps what the watchdog counted and logged. */
async function watched(ports: Partial<EnginePorts> = {}, limits = {}) {
  const counted: string[] = [];
  const logged: string[] = [];
  const log = createLog({
    clock: { now: () => 0, after: () => () => {} },
    level: "warn",
    write: (line) => logged.push(line),
    privacy: () => "Hashed",
  });
  const story = await QueueDriver.open({
    limits,
    ports: { log, metrics: { ...noMetrics, watchdog: ({ what }) => counted.push(what) }, ...ports },
  });
  return { story, counted, logged };
}
const lastOf = async (story: QueueDriver, id: string) => (await story.engine.explain(id))?.waiting[0];

test("an attempt that does not move is ended after 15 minutes and tried again", async () => {
  const { story, counted, logged } = await watched();
  story.peers.on("@tarpit.test", "hang", { times: 1 });

  const id = await story.send({ to: "one@tarpit.test" });
  expect(await story.why(id)).toEqual({
    kind: "InFlight",
    text: "being delivered to mx.tarpit.test from address a",
    until: null,
  });
  // RFC 5321 §4.5.3.2.6 gives the peer ten minutes after the final dot.
  await story.clock.advance(10 * minutes);
  expect((await story.why(id))?.kind).toBe("InFlight");
  await story.clock.advance(5 * minutes);

  expect(await lastOf(story, id)).toMatchObject({
    attempts: 1,
    last: {
      rule: "session/content",
      text: "ended by the watchdog, it did not move for 15 minutes (aborted)",
    },
  });
  expect(story.engine.report().restraints).toMatchObject([
    { kind: "Backoff", reason: "no session (rule session/content), recovering with fewer connections" },
  ]);
  expect(counted).toEqual(["silence"]);
  expect(logged).toEqual([
    expect.stringMatching(/"the watchdog ended an attempt".*"silence"/),
    expect.anything(),
  ]);

  await story.clock.advance(10 * minutes);
  expect(story.peers.delivered).toEqual(["one@tarpit.test"]);
});

test("a peer that trickles a word a minute for ever is ended after 45 minutes and a second a KiB", async () => {
  const { story, counted } = await watched();
  story.peers.on("@trickle.test", "trickle");
  const small = await story.send({ to: "small@trickle.test", expiresInMs: 24 * hours });
  const large = await story.send({
    to: "large@trickle.test",
    body: "x".repeat(600 * 1024),
    expiresInMs: 24 * hours,
  });

  await story.clock.advance(45 * minutes - 1 * seconds);
  expect([(await story.why(small))?.kind, counted]).toEqual(["InFlight", []]);
  await story.clock.advance(2 * seconds);
  expect((await lastOf(story, small))?.last?.text).toBe(
    "ended by the watchdog, it did not end within 45 minutes (aborted)",
  );
  expect((await story.why(large))?.kind).toBe("InFlight");
  await story.clock.advance(10 * minutes);
  expect((await lastOf(story, large))?.last?.text).toBe(
    "ended by the watchdog, it did not end within 55 minutes (aborted)",
  );
  expect(counted.slice(0, 2)).toEqual(["duration", "duration"]);
});

test("a deliverer that does not end when told to is left behind a minute later", async () => {
  const { story, counted } = await watched();
  story.peers.on("@deaf.test", "deaf", { times: 1 });
  const id = await story.send({ to: "one@deaf.test" });

  await story.clock.advance(15 * minutes);
  expect((await story.why(id))?.kind).toBe("InFlight");
  await story.clock.advance(1 * minutes);

  expect((await lastOf(story, id))?.last?.text).toBe(
    "ended by the watchdog, it did not move for 15 minutes (the transaction did not end when told to)",
  );
  expect(counted).toEqual(["silence"]);
});

test("a lookup that never answers is ended after two minutes, and others' lookups go on", async () => {
  const { story, counted } = await watched({}, { resolutions: 2 });
  story.dns.lose("lost0.test").lose("lost1.test").lose("lost2.test");
  const ids: string[] = [];
  for (const domain of ["lost0.test", "lost1.test", "lost2.test"])
    ids.push(await story.send({ to: `one@${domain}` }));
  await story.send({ to: "one@fine.test", credential: "other" });
  expect((await story.why(ids[0] ?? ""))?.text).toBe("looking up where lost0.test takes mail");

  await story.clock.advance(2 * minutes);
  expect(story.peers.delivered).toEqual(["one@fine.test"]);
  await story.clock.advance(2 * minutes);
  expect(await Promise.all(ids.map(async (id) => (await lastOf(story, id))?.last?.text))).toEqual(
    ids.map(() => "ended by the watchdog, the lookup did not end within 2 minutes"),
  );
  expect(counted.slice(0, 3)).toEqual(["lookup", "lookup", "lookup"]);
});

const lost: readonly (readonly [string, Partial<EnginePorts>])[] = [
  ["a signature", { sign: () => never }],
  ["the password of a smart host", { readSecret: () => never }],
];
test.each(lost)("%s that never comes is given up after a minute, and is no attempt", async (_, ports) => {
  const { story, counted } = await watched(ports);
  story.apply(
    aConfig({
      routes: [
        {
          name: "smart",
          recipientDomains: [],
          to: {
            kind: "smarthost",
            host: "smart.test",
            port: 587,
            tls: "Verify",
            username: "u",
            passwordFile: "smart.password",
            pool: null,
          },
        },
      ],
    }),
  );
  const id = await story.send({ to: "one@inbox.test" });

  expect((await story.why(id))?.kind).toBe("InFlight");
  await story.clock.advance(1 * minutes);

  expect(await story.why(id)).toEqual({
    kind: "Retry",
    text: "the message was not ready to start after 1 minute; looked at again at 2026-11-23 12:02:00Z",
    until: "2026-11-23T12:02:00.000Z",
  });
  expect((await lastOf(story, id))?.attempts).toBe(0);
  expect(counted).toEqual(["preparation"]);
});

test("an allowance that the disk neither promises nor refuses holds nothing for ever", async () => {
  let driver: QueueDriver | undefined;
  const spool = new Proxy(createMemorySpool({ clock: new FakeClock() }), {
    get(target, name) {
      if (name === "recordUsage") return () => never;
      // The engine reads what the story has stored.
      if (name === "load") return (ids: readonly string[]) => driver?.spool.load(ids);
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? (value.bind(target) as unknown) : value;
    },
  });
  const { story, counted } = await watched({ spool });
  driver = story;
  const id = await story.send({ to: "one@inbox.test" });
  await story.clock.advance(1 * minutes);

  expect((await story.why(id))?.text).toMatch(/^the message was not ready to start after 1 minute/);
  expect(counted).toEqual(["preparation"]);
  expect(story.used()).toEqual({ "a total 2026-11-23": 0 });
});
