/** A relay that is too busy: clients wait, then hear 421, then it is well again; nobody loses anything. */
import { expect, onTestFinished, test } from "vitest";

import type { Load } from "../../../relay/kit/loadProbe.ts";
import { silentLog } from "../../../relay/kit/log.ts";
import { OverloadWatch } from "../../../relay/overload.ts";
import { type Receiving, startReceiving } from "../../support/receiving.ts";

const MIB = 1024 * 1024;
const well: Load = {
  loopDelayMs: 2,
  memory: { usedBytes: 100 * MIB, limitBytes: 1000 * MIB },
  diskFreeBytes: 1000 * MIB,
};
const minimal = "From: a@example.com\r\n\r\nHello\r\n.";

/** The watch over a receiving relay, with a load that the test sets. */
function watched(relay: Receiving) {
  let load = well;
  const watch = new OverloadWatch({
    clock: relay.clock,
    log: silentLog,
    receiver: relay.receiver,
    diskReserveBytes: 64 * MIB,
    probe: { look: async () => load, stop: () => {} },
  });
  onTestFinished(() => watch.stop());
  return {
    watch,
    async becomes(changes: Partial<Load>, seconds = 1) {
      load = { ...well, ...changes };
      await relay.clock.advance(seconds * 1000);
    },
  };
}

test("while replies are late, MAIL is answered at a slower pace, and the message is taken", async () => {
  const relay = await startReceiving();
  const load = watched(relay);
  const client = await relay.submitter();
  await load.becomes({ loopDelayMs: 400 }, 5);

  client.raw("MAIL FROM:<a@example.com>\r\n");
  client.raw("RCPT TO:<b@example.org>\r\n");
  const answered = client.expect(250).then(() => "answered");
  await relay.clock.advance(200);
  expect(await Promise.race([answered, new Promise((resolve) => setImmediate(resolve, "waits"))])).toBe(
    "waits",
  );
  await relay.clock.advance(100);
  expect(await answered).toBe("answered");
  await client.expect(250);
  await client.say("DATA", 354);
  await client.say(minimal, 250);
  expect(relay.accepted).toHaveLength(1);
});

test("a client that leaves while it waits leaves nothing behind", async () => {
  const relay = await startReceiving();
  const load = watched(relay);
  const client = await relay.submitter();
  await load.becomes({ loopDelayMs: 400 }, 5);

  client.raw("MAIL FROM:<a@example.com>\r\n");
  client.vanish();
  await relay.clock.advance(1000);

  await expect.poll(() => relay.receiver.counts()).toEqual({ sessions: 0, transactions: 0 });
});

test("with memory nearly used up: 421 to new transactions, a running one ends well, and it recovers by itself", async () => {
  const relay = await startReceiving();
  const load = watched(relay);
  const running = await relay.submitter();
  const other = await relay.submitter();
  await running.begin("a@example.com", "b@example.org");

  await load.becomes({ memory: { usedBytes: 950 * MIB, limitBytes: 1000 * MIB } });
  await other.say("MAIL FROM:<a@example.com>", "421 4.3.2 No new messages now: memory 950 of 1000 MiB");
  await running.say(minimal, 250);
  expect(relay.accepted).toHaveLength(1);
  expect(load.watch.notReadyReason()).toBeNull();

  await load.becomes({ memory: { usedBytes: 950 * MIB, limitBytes: 1000 * MIB } }, 10);
  expect(load.watch.notReadyReason()).toBe("overloaded: memory 950 of 1000 MiB");

  await load.becomes({}, 15);
  expect(load.watch.state.level).toBe("Calm");
  const later = await relay.submitter();
  await later.begin("a@example.com", "b@example.org");
  await later.say(minimal, 250);
  expect(relay.accepted).toHaveLength(2);
});
