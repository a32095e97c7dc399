/**
 * A relay that is told to stop while a peer takes its time: what is in flight ends or is given back, the
 * process ends in order, and the next life loses and doubles nothing. Who asks twice is not kept waiting.
 */
import { once } from "node:events";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import {
  relayAmongPeers,
  type RelayAmongPeers,
  recipientsOf,
  SENDER,
} from "../../support/relayAmongPeers.ts";
import { SmtpClient } from "../../support/smtpClient.ts";
import { type SmtpPeer, smtpPeer } from "../../support/smtpPeer.ts";

let world: RelayAmongPeers;
let slow: SmtpPeer;

beforeEach(async () => {
  world = await relayAmongPeers({
    // The answer to the final dot is what the test says, when it says it.
    peers: { "slow.test": smtpPeer().hangAt("DOT", { times: 2 }), "good.test": smtpPeer() },
    config: {
      queue: { expireAfterSeconds: 432_000, retry: { firstDelaySeconds: 1, longestDelaySeconds: 1 } },
    },
  });
  slow = world.peer("slow.test");
});
afterEach(() => world[Symbol.asyncDispose]());

/** Two messages whose content the peer has and has not answered. */
async function twoInFlight(): Promise<void> {
  await world.send("one@slow.test");
  await world.send("two@slow.test");
  await slow.until(() => slow.contents.length === 2);
}

/** Sends SIGTERM; resolves with the exit code when the process has ended. */
function terminate(): Promise<unknown> {
  const ended = once(world.relay.program.child, "exit").then(([code]) => code as unknown);
  world.relay.program.child.kill("SIGTERM");
  return ended;
}

const stopping = () => vi.waitFor(() => expect(world.relay.program.output()).toContain('"stopping"'), 5000);

test("what the peer accepts during the stop is done: exit 0, an empty queue, nothing twice", async () => {
  await twoInFlight();
  const ended = terminate();
  await stopping();
  await vi.waitFor(() =>
    expect(SmtpClient.connect({ port: world.relay.port })).rejects.toThrow("ECONNREFUSED"),
  );
  slow.say("250 2.0.0 accepted\r\n");
  expect(await ended).toBe(0);
  expect(world.relay.program.output()).not.toContain("did not stop in time");

  await world.relay.crashAndRestart();
  await world.send("three@slow.test");
  await world.relay.until(({ queue }) => queue.messages === 0);
  expect(recipientsOf(slow.contents)).toEqual(["one@slow.test", "three@slow.test", "two@slow.test"]);
});

test("what the peer drops during the stop is kept, and delivered once by the next life", async () => {
  await twoInFlight();
  const ended = terminate();
  await stopping();
  slow.dropAll();
  expect(await ended).toBe(0);

  await world.relay.crashAndRestart();
  await slow.until(() => slow.messages.length === 2);
  await world.relay.until(({ queue }) => queue.messages === 0);
  expect(recipientsOf(slow.messages)).toEqual(["one@slow.test", "two@slow.test"]);
});

test("a client in the middle of a message may finish it, and hears 421 afterwards", async () => {
  const session = await world.client();
  await session.begin(SENDER, "one@good.test");
  session.raw(`From: ${SENDER}\r\n`);
  const ended = terminate();
  await stopping();
  session.raw("\r\nHello.\r\n.\r\n");
  await session.expect(250);
  await session.expect(421);
  await session.expectClosed();
  expect(await ended).toBe(0);

  await world.relay.crashAndRestart();
  const good = world.peer("good.test");
  await good.until(() => good.messages.length > 0);
  await world.relay.until(({ queue }) => queue.messages === 0);
  expect(good.messages).toHaveLength(1);
});

test("a second SIGTERM ends at once, and the next life has the mail", async () => {
  await twoInFlight();
  const ended = terminate();
  await stopping();
  world.relay.program.child.kill("SIGTERM");
  expect(await ended).toBe(1);

  await world.relay.crashAndRestart();
  await slow.until(() => slow.messages.length === 2);
  await world.relay.until(({ queue }) => queue.messages === 0);
});
