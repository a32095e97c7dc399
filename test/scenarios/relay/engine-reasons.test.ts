/**
 * Nothing waits without a reason, whatever happens: configurations, peers, lookups, disks and clocks in any
 * order. The driver asks every message at every step (toldReasons.ts); at the end, when nothing is in the
 * way any more, everything has an end.
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";

import type { RelayConfig } from "../../../relay/contract/config.ts";
import type { Outcome } from "../../../relay/message.ts";
import {
  aConfig,
  aSource,
  days,
  hours,
  minutes,
  QueueDriver,
  row,
  seconds,
} from "../../support/queueDriver.ts";
import { accepted, refused, type Script, unreachable } from "../../support/scriptedDeliverer.ts";

/** Some seconds' worth; ten times as many found two queues that had forgotten a site, and are a command away. */
const RUNS = Number(process.env["REASONS_RUNS"] ?? 20);
const domains = ["a.test", "b.test", "c.test", "gmail.test", "company.test", "office.test"] as const;
const credentials = ["app", "crm", null] as const;
const queueClasses = ["transactional", "bulk", "gone", undefined] as const;
const waits = [
  1 * seconds,
  31 * seconds,
  1 * minutes,
  5 * minutes,
  16 * minutes,
  1 * hours,
  9 * hours,
  1 * days,
];
const scripts: readonly Script[] = [
  accepted,
  refused("450 4.2.0 later"),
  refused("451 4.7.1 greylisted, try again later"),
  refused("421 4.7.28 unusual rate", "mail"),
  refused("452 4.5.3 too many recipients"),
  refused("550 5.1.1 no such user"),
  unreachable("connect"),
  unreachable("content", "connection lost"),
  "hang",
  "hang",
  "trickle",
];

/** What of a configuration is turned. */
interface Turned {
  readonly paused: boolean;
  readonly held: boolean;
  readonly sourceAPaused: boolean;
  readonly limitA: number | null;
  readonly second: boolean;
  readonly classes: boolean;
  readonly routed: boolean;
}
const turned: fc.Arbitrary<Turned> = fc.record({
  paused: rarely(),
  held: rarely(),
  sourceAPaused: rarely(),
  limitA: fc.option(fc.integer({ min: 1, max: 6 }), { nil: null }),
  second: fc.boolean(),
  classes: fc.boolean(),
  routed: fc.boolean(),
});
function rarely(): fc.Arbitrary<boolean> {
  return fc.nat({ max: 3 }).map((drawn) => drawn === 0);
}

const open: Turned = {
  paused: false,
  held: false,
  sourceAPaused: false,
  limitA: null,
  second: true,
  classes: true,
  routed: true,
};

function configOf({ paused, held, sourceAPaused, limitA, second, classes, routed }: Turned): RelayConfig {
  const a = aSource({
    name: "a",
    allowance: limitA === null ? [] : [row("2026-11-23", limitA, { google: Math.ceil(limitA / 2) })],
    ...(sourceAPaused ? { state: "Paused" as const, stateReason: "listed" } : {}),
  });
  const base = aConfig({ paused, sources: second ? [a, aSource({ name: "b" })] : [a] });
  return {
    ...base,
    domains: [
      { domain: "example.test", state: held ? "Held" : "Active", reason: held ? "no record" : "", dkim: [] },
      { domain: "other.test", state: "Active", reason: "", dkim: [] },
    ],
    routes: routed
      ? base.routes
      : [{ name: "some", recipientDomains: ["a.test", "gmail.test"], to: { kind: "pool", pool: "default" } }],
    queue: classes
      ? {
          ...base.queue,
          classes: [
            {
              name: "transactional",
              priority: "High",
              retry: { firstDelaySeconds: 30, longestDelaySeconds: 600 },
            },
            { name: "bulk", priority: "Low" },
          ],
        }
      : base.queue,
  };
}

const event = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("send" as const),
      to: fc.array(fc.constantFrom(...domains), { minLength: 1, maxLength: 4 }),
      credential: fc.constantFrom(...credentials),
      queueClass: fc.constantFrom(...queueClasses),
      sendingDomain: fc.constantFrom("example.test", "other.test"),
      expiresInHours: fc.constantFrom(1, 120),
    }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.constantFrom(...waits) }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("peer" as const),
      domain: fc.constantFrom(...domains),
      script: fc.constantFrom(...scripts),
      times: fc.constantFrom(1, 3, Number.POSITIVE_INFINITY),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("apply" as const), turned }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("lookups" as const), held: fc.boolean() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("dns" as const),
      domain: fc.constantFrom(...domains),
      fails: fc.boolean(),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("disk" as const), fails: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("crash" as const) }) },
);
type Happening = typeof event extends fc.Arbitrary<infer T> ? T : never;

const site: Partial<Record<(typeof domains)[number], string>> = {
  "gmail.test": "gmail-smtp-in.l.google.com",
  "company.test": "gmail-smtp-in.l.google.com",
  "office.test": "office-test.mail.protection.outlook.com",
};
const noAnswer: Outcome & { kind: "unroutable" } = {
  kind: "unroutable",
  permanent: false,
  enhanced: "4.4.3",
  reason: "SERVFAIL",
};

function answers(story: QueueDriver): void {
  for (const domain of domains) story.dns.mx(domain, site[domain] ?? `mx.${domain}`);
}

async function happen(story: QueueDriver, what: Happening, count: number): Promise<void> {
  switch (what.kind) {
    case "send":
      if (story.disk.failure !== null) return;
      await story.send({
        to: [...new Set(what.to)].map((domain) => `u${count}@${domain}`),
        from: "",
        credential: what.credential,
        sendingDomain: what.sendingDomain,
        expiresInMs: what.expiresInHours * hours,
        ...(what.queueClass === undefined ? {} : { queueClass: what.queueClass }),
      });
      return;
    case "wait":
      await story.clock.advance(what.ms);
      return;
    case "peer":
      story.peers.on(`@${what.domain}`, what.script, { times: what.times });
      return;
    case "apply":
      story.apply(configOf(what.turned));
      return story.settle();
    case "lookups":
      if (what.held) story.dns.hold();
      else story.dns.release();
      return story.settle();
    case "dns":
      if (what.fails) story.dns.answers.set(what.domain, noAnswer);
      else answers(story);
      return;
    case "disk":
      story.changed();
      story.disk.failure = what.fails ? "no space left on device" : null;
      // The gate asks the disk again in its own time.
      await story.clock.advance(what.fails ? 0 : 2 * minutes);
      return story.settle();
    case "crash":
      story.disk.failure = null;
      story.dns.release();
      story.crash();
      return story.start();
  }
}

test("at every step every message says truly why it waits, and in the end none does", async () => {
  let asked = 0;
  await fc.assert(
    fc.asyncProperty(fc.array(event, { minLength: 20, maxLength: 60, size: "max" }), async (events) => {
      const story = await QueueDriver.open({
        config: configOf(open),
        limits: { transactions: 4, slowTransactions: 4, resolutions: 2, recipientsPerTransaction: 3 },
      });
      answers(story);
      for (const [count, what] of events.entries()) await happen(story, what, count);

      story.changed();
      story.disk.failure = null;
      story.dns.release();
      answers(story);
      for (const domain of domains) story.peers.on(`@${domain}`, accepted);
      story.apply(configOf(open));
      for (let hour = 0; hour < 6 * 24 && story.engine.report().queue.messages > 0; hour++)
        await story.clock.advance(1 * hours);

      expect(story.engine.report().queue.messages).toBe(0);
      asked += story.reasonsAsked;
    }),
    { numRuns: RUNS },
  );
  console.info(`${asked} reasons were asked for and found true`);
  expect(asked).toBeGreaterThan(RUNS * 20);
}, 120_000);
