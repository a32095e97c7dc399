/**
 * kill -9 at random instants while sessions submit and a peer receives. Whatever the instant: all that was
 * answered with 250 arrives, what arrives twice is bounded by what was in flight, and a daily allowance
 * holds over all lives together. A failure prints its seed.
 */
import { setTimeout as wait } from "node:timers/promises";

import { expect, test } from "vitest";

import { systemClock } from "../../../relay/kit/clock.ts";
import { utcDay } from "../../../relay/policy/utcDay.ts";
import { relayAmongPeers, type RelayAmongPeers, submit } from "../../support/relayAmongPeers.ts";
import { seededRandom } from "../../support/seededRandom.ts";
import type { SmtpClient } from "../../support/smtpClient.ts";
import { type SmtpPeer, smtpPeer } from "../../support/smtpPeer.ts";

/** Sessions that submit to unique recipients through every crash, and remember what was answered with 250. */
class Load {
  readonly accepted = new Set<string>();
  #isOver = false;
  readonly #sessions: Promise<void>[];

  constructor(world: RelayAmongPeers, sessions: number, perMessage: number) {
    this.#sessions = Array.from({ length: sessions }, (_, index) => this.#submit(world, index, perMessage));
  }

  async end(): Promise<void> {
    this.#isOver = true;
    await Promise.all(this.#sessions);
  }

  async #submit(world: RelayAmongPeers, index: number, perMessage: number): Promise<void> {
    let session: SmtpClient | undefined;
    for (let count = 0; !this.#isOver; count++) {
      const recipients = Array.from({ length: perMessage }, (_, n) => `s${index}-${count}-${n}@inbox.test`);
      try {
        session ??= await world.client();
        await submit(session, recipients);
        for (const recipient of recipients) this.accepted.add(recipient);
      } catch {
        // Killed under us: without a 250 the message is still ours, and this one is given up.
        session?.vanish();
        session = undefined;
        await wait(20);
      }
    }
    session?.vanish();
  }
}

/** How often each recipient was delivered to. */
function tally(peer: SmtpPeer): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { address } of peer.messages.flatMap(({ recipients }) => recipients)) {
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  return counts;
}

// Eight starts of the program, on whatever else the machine does.
test(
  "nothing that was accepted is lost over eight kills, and little arrives twice",
  { timeout: 120_000 },
  async () => {
    const seed = Number(process.env["SEED"] ?? 20_261_123);
    const { draw } = seededRandom(seed);
    await using world = await relayAmongPeers({ peers: { "inbox.test": smtpPeer() }, logLevel: "warn" });
    const peer = world.peer("inbox.test");
    const load = new Load(world, 6, 2);

    let openAtKills = 0;
    for (let kill = 0; kill < 8; kill++) {
      const atLeast = load.accepted.size + Math.floor(draw() * 120);
      await expect.poll(() => load.accepted.size, { interval: 1, timeout: 10_000 }).toBeGreaterThan(atLeast);
      openAtKills += peer.sessions.filter(({ open }) => open).length;
      await world.relay.crashAndRestart();
    }
    await load.end();
    await world.relay.until((report) => report.queue.messages === 0, 30);

    const delivered = tally(peer);
    const lost = [...load.accepted].filter((address) => !delivered.has(address));
    expect(lost, `seed ${seed}`).toEqual([]);
    expect(load.accepted.size, `seed ${seed}`).toBeGreaterThan(100);
    const doubled = [...delivered.values()].reduce((sum, count) => sum + count - 1, 0);
    // In flight on a connection at a kill: one message on the wire, one whose outcome is being written down;
    // each has two recipients.
    expect(doubled, `seed ${seed}`).toBeLessThanOrEqual(2 * 2 * openAtKills);
  },
);

test("a daily allowance of 60 is never exceeded over four kills, and the report is never below the truth", async () => {
  const seed = Number(process.env["SEED"] ?? 42);
  const { draw } = seededRandom(seed);
  const firstDay = utcDay(systemClock.now());
  await using world = await relayAmongPeers({
    peers: { "inbox.test": smtpPeer() },
    logLevel: "warn",
    config: {
      pods: [
        {
          name: "test-0",
          state: "Active",
          sources: [
            {
              name: "a",
              pool: "default",
              address: "127.0.0.11",
              ehloName: "a.mail.example.test",
              state: "Active",
              stateReason: "",
              allowance: [{ day: firstDay, total: 60, providers: {} }],
            },
          ],
        },
      ],
    },
  });
  const peer = world.peer("inbox.test");
  const load = new Load(world, 4, 1);

  for (let kill = 0; kill < 4; kill++) {
    const atLeast = Math.min(44, peer.messages.length + Math.floor(draw() * 12));
    await peer.until(() => peer.messages.length >= atLeast);
    const taken = peer.messages.length;
    await world.relay.crashAndRestart();
    const { usage } = await world.relay.until(({ appliedRevision }) => appliedRevision !== null);
    const used = usage.find(({ provider }) => provider === "total")?.used ?? 0;
    expect(used, `seed ${seed}`).toBeGreaterThanOrEqual(taken);
    expect(used, `seed ${seed}`).toBeLessThanOrEqual(60);
  }
  await expect.poll(() => load.accepted.size, { timeout: 20_000 }).toBeGreaterThan(200);
  await load.end();
  const spent = await world.relay.until(({ restraints }) =>
    restraints.some(({ kind }) => kind === "Allowance"),
  );

  const received = [...tally(peer).values()].reduce((sum, count) => sum + count, 0);
  const days = utcDay(systemClock.now()) === firstDay ? 1 : 2;
  expect(received, `seed ${seed}`).toBeLessThanOrEqual(60 * days);
  // A kill writes off a block of three at this size, and what was in flight.
  expect(received, `seed ${seed}`).toBeGreaterThanOrEqual(30);
  expect(spent.usage.find(({ provider }) => provider === "total")?.used).toBe(60);
  expect(spent.queue.recipients).toBeGreaterThan(100);
  const [id = ""] = /[0-9A-HJKMNP-TV-Z]{26}/.exec(await world.cli("queue", "--ids")) ?? [];
  expect(await world.cli("explain", id)).toMatch(/because .*60 of 60/);
}, 90_000);
