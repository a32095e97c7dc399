/** Two candidates over the cluster in memory, each with a clock of its own. */
import { afterEach, beforeEach, expect, test } from "vitest";

import { FakeClock } from "../../../test/support/fakeClock.ts";
import { FaultyKube } from "../../../test/support/faultyKube.ts";
import { seededRandom } from "../../../test/support/seededRandom.ts";
import { silentLog } from "../../../relay/kit/log.ts";
import { type KubeClient, KubeError } from "../kubeClient.ts";
import { createMemoryCluster, type MemoryCluster } from "../memory/memoryCluster.ts";
import { leases } from "./clusterClient.ts";
import { LeaderLease, type Leadership } from "./leaderLease.ts";

const key = { namespace: "operators", name: "leader" };
const down = new KubeError("Unavailable", 0, "down");

let clock: FakeClock;
let cluster: MemoryCluster;
let stop: AbortController;
beforeEach(() => {
  clock = new FakeClock();
  cluster = createMemoryCluster({ clock, random: seededRandom(9) });
  stop = new AbortController();
});
afterEach(() => stop.abort());

/** A candidate that waits for leadership from now on. */
function candidate(identity: string, client: KubeClient = cluster, skewMs = 0) {
  const lease = new LeaderLease({
    client,
    // Its own idea of the time; timers run as fast as everyone's.
    clock: { now: () => clock.now() + skewMs, after: (ms, action) => clock.after(ms, action) },
    random: seededRandom(identity.length),
    log: silentLog,
    ...key,
    identity,
  });
  const state: { leadership: Leadership | null } = { leadership: null };
  const acquired = (async () => {
    state.leadership = await lease.acquire(stop.signal);
  })();
  return {
    lease,
    acquired,
    get leads() {
      return state.leadership !== null && !state.leadership.lost.aborted && lease.leading;
    },
    /** It led once and does no longer. */
    get deposed() {
      return state.leadership?.lost.aborted ?? false;
    },
    release: () => state.leadership?.release(),
  };
}

async function spec(): Promise<Record<string, unknown>> {
  return ((await cluster.get(leases, key))?.["spec"] ?? {}) as Record<string, unknown>;
}

test("the first candidate leads at once, the second waits", async () => {
  const one = candidate("one");
  await clock.advance(0);
  const two = candidate("two-two");
  await clock.advance(600_000);

  expect([one.leads, two.leads]).toEqual([true, false]);
  expect(await spec()).toEqual({
    holderIdentity: "one",
    leaseDurationSeconds: 15,
    leaseTransitions: 1,
    acquireTime: "2026-11-23T12:00:00.000000Z",
    renewTime: expect.stringMatching(/^2026-11-23T12:(09|10):\d\d\.\d{6}Z$/),
  });
});

test("candidates that begin together: one leads", async () => {
  const all = ["a", "bb", "ccc", "dddd"].map((identity) => candidate(identity));
  await clock.advance(60_000);

  expect(all.filter(({ leads }) => leads)).toHaveLength(1);
});

test("a holder that falls silent is replaced after its lease, and not before", async () => {
  const faulty = new FaultyKube(cluster);
  const one = candidate("one", faulty);
  await clock.advance(0);
  const two = candidate("two-two");
  await clock.advance(30_000);
  faulty.fail("write", down);
  faulty.fail("get", down);

  await clock.advance(7_900);
  expect(one.leads).toBe(true);
  await clock.advance(2_100);
  expect([one.leads, two.leads]).toEqual([false, false]);
  await clock.advance(12_000);

  expect([one.leads, two.leads]).toEqual([false, true]);
  expect(await spec()).toMatchObject({ holderIdentity: "two-two", leaseTransitions: 2 });
});

test.each([
  ["hours ahead", 5 * 3_600_000],
  ["hours behind", -5 * 3_600_000],
])("a clock %s neither steals the lease nor waits for ever", async (_, skewMs) => {
  const faulty = new FaultyKube(cluster);
  const one = candidate("one", faulty);
  await clock.advance(0);
  const two = candidate("two-two", cluster, skewMs);
  await clock.advance(120_000);
  expect([one.leads, two.leads]).toEqual([true, false]);

  faulty.fail("write", down);
  await clock.advance(25_000);

  expect([one.leads, two.leads]).toEqual([false, true]);
});

test("never do two lead at a time, whatever fails when", async () => {
  const random = seededRandom(77);
  const clients = ["a", "bb", "ccc"].map((identity) => {
    const faulty = new FaultyKube(cluster);
    return { faulty, identity, candidate: candidate(identity, faulty, (random.draw() - 0.5) * 1e8) };
  });
  let changes = 0;
  let last: string | undefined;
  for (let step = 0; step < 3000; step += 1) {
    for (const { faulty } of clients) {
      if (random.draw() < 0.02) faulty.heal();
      if (random.draw() < 0.02) faulty.fail("write", down, { after: random.draw() < 0.5 });
    }
    await clock.advance(500);
    const leaders = clients.filter((each) => each.candidate.leads);
    expect(leaders.length).toBeLessThan(2);
    if (leaders[0] !== undefined && leaders[0].identity !== last) {
      last = leaders[0].identity;
      changes += 1;
    }
    // Who lost it tries again, as a restarted process would.
    for (const each of clients) {
      if (each.candidate.deposed) each.candidate = candidate(each.identity, each.faulty);
    }
  }

  expect(changes).toBeGreaterThan(5);
});

test("a leader whose answers are lost knows its own writes again", async () => {
  const faulty = new FaultyKube(cluster);
  const one = candidate("one", faulty);
  await clock.advance(0);
  for (let round = 0; round < 20; round += 1) {
    faulty.fail("apply", down, { times: 1, after: true });
    await clock.advance(10_000);
  }

  expect(one.leads).toBe(true);
});

test("a short outage costs nothing", async () => {
  const faulty = new FaultyKube(cluster);
  const one = candidate("one", faulty);
  await clock.advance(20_000);
  faulty.fail("apply", down);
  faulty.fail("get", down);
  await clock.advance(6_000);
  faulty.heal();
  await clock.advance(20_000);

  expect(one.leads).toBe(true);
  expect(await spec()).toMatchObject({ leaseTransitions: 1 });
});

test("a renewal that hangs does not keep the lead", async () => {
  let hang = false;
  const hanging: KubeClient = {
    get: (type, at) => cluster.get(type, at),
    list: (type, options) => cluster.list(type, options),
    listVersions: (type, options) => cluster.listVersions(type, options),
    watch: (type, options) => cluster.watch(type, options),
    apply: (object, manager) => (hang ? new Promise(() => {}) : cluster.apply(object, manager)),
    applyStatus: (object, manager) => cluster.applyStatus(object, manager),
    delete: (type, at, precondition) => cluster.delete(type, at, precondition),
  };
  const one = candidate("one", hanging);
  const two = candidate("two-two");
  await clock.advance(5_000);
  hang = true;
  await clock.advance(30_000);

  expect([one.leads, two.leads]).toEqual([false, true]);
});

test("a holder put there by hand ends the lead", async () => {
  const one = candidate("one");
  await clock.advance(10_000);
  await cluster.apply(
    {
      apiVersion: leases.apiVersion,
      kind: "Lease",
      metadata: key,
      spec: { holderIdentity: "someone", renewTime: "2026-11-23T12:00:00.000000Z" },
    },
    "kubectl",
  );
  await clock.advance(3_000);

  expect(one.leads).toBe(false);
});

test("a leader that was frozen doubts itself before any timer has told it", async () => {
  let frozenMs = 0;
  const lease = new LeaderLease({
    client: cluster,
    // A process that is frozen sees the time jump, and its timers run late.
    clock: { now: () => clock.now() + frozenMs, after: (ms, action) => clock.after(ms, action) },
    random: seededRandom(3),
    log: silentLog,
    ...key,
    identity: "one",
  });
  const leadership = await lease.acquire(stop.signal);
  await clock.advance(60_000);
  expect(leadership?.doubt()).toBeNull();

  frozenMs = 7_900;
  expect(leadership?.doubt()).toBeNull();
  frozenMs = 10_000;
  expect(leadership?.doubt()).toBe("leadership was not renewed within 10 s");
  // Nobody took it meanwhile, and it is renewed: then all is well.
  await clock.advance(2_000);
  expect(leadership?.doubt()).toBeNull();
});

test("a lease deleted by hand is made again by the one who leads", async () => {
  const one = candidate("one");
  await clock.advance(0);
  const two = candidate("two-two");
  await clock.advance(10_000);
  await cluster.delete(leases, key);
  await clock.advance(8_000);

  expect([one.leads, two.leads]).toEqual([true, false]);
  expect(await spec()).toMatchObject({ holderIdentity: "one" });
});

test("release frees the lease, and the next one leads within one retry", async () => {
  const one = candidate("one");
  await clock.advance(0);
  const two = candidate("two-two");
  await clock.advance(30_000);

  const released = one.release();
  await clock.advance(0);
  await released;
  expect(one.leads).toBe(false);
  expect((await spec())["holderIdentity"]).toBeUndefined();
  await clock.advance(4_500);

  expect(two.leads).toBe(true);
  expect(await spec()).toMatchObject({ holderIdentity: "two-two", leaseTransitions: 2 });
});

test("who is stopped while waiting leaves nothing behind", async () => {
  const one = candidate("one");
  await clock.advance(0);
  const two = candidate("two-two");
  await clock.advance(5_000);
  stop.abort();
  await two.acquired;
  await one.release();
  await clock.advance(60_000);

  expect(two.leads).toBe(false);
  expect(clock.pending).toBe(0);
});

test("times that cannot keep two from leading are refused", () => {
  const options = {
    client: cluster,
    clock,
    random: seededRandom(1),
    log: silentLog,
    ...key,
    identity: "one",
    leaseDurationSeconds: 10,
  };
  expect(() => new LeaderLease(options)).toThrow(/must outlast/);
});
