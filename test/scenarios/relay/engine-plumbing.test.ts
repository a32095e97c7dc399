/** A source whose address is not on the machine: its mail waits or leaves by others, and goes when it appears. */
import { afterEach, expect, test, vi } from "vitest";

import { bindFault } from "../../../relay/smtp/bindFault.ts";
import { createDeliverer } from "../../../relay/smtp/deliver.ts";
import { systemClock } from "../../../relay/kit/clock.ts";
import { silentLog } from "../../../relay/kit/log.ts";
import { aConfig, aSource, minutes, QueueDriver, seconds } from "../../support/queueDriver.ts";

const a = aSource({ name: "a", address: "192.0.2.1" });
const b = aSource({ name: "b", address: "127.0.0.1" });
const fault = "no connection can be made from 192.0.2.1: EADDRNOTAVAIL";

let story: QueueDriver | undefined;
afterEach(async () => await story?.stop());

/** A machine that has the addresses of `present`. */
async function open(present: Set<string>, ...sources: (typeof a)[]): Promise<QueueDriver> {
  story = await QueueDriver.open({
    config: aConfig({ sources }),
    ports: {
      bindFault: async (address) =>
        present.has(address) ? null : `no connection can be made from ${address}: EADDRNOTAVAIL`,
    },
  });
  return story;
}

test("mail waits for the address and says so; no attempt is counted, and it leaves when the address appears", async () => {
  const present = new Set<string>();
  const driver = await open(present, a);
  const { clock, engine, peers } = driver;
  const id = await driver.send({ to: "one@inbox.test" });
  await clock.advance(30 * minutes);

  expect(peers.jobs).toEqual([]);
  expect(await driver.why(id)).toEqual({
    kind: "SourceMissing",
    text: `address a is not on this pod: ${fault}`,
    until: null,
  });
  expect(engine.report()).toMatchObject({
    missingAddresses: [{ source: "a", reason: fault, since: "2026-11-23T12:00:00.000Z" }],
    restraints: [{ source: "a", kind: "Paused", reason: fault }],
    counters: [],
  });

  present.add("192.0.2.1");
  await clock.advance(10 * seconds);
  expect(peers.delivered).toEqual(["one@inbox.test"]);
  expect(engine.report().missingAddresses).toEqual([]);
});

test("mail leaves by the addresses that are there", async () => {
  const driver = await open(new Set(["127.0.0.1"]), a, b);
  for (const name of ["one", "two", "three"]) await driver.send({ to: `${name}@inbox.test` });

  expect(driver.peers.jobs.map(({ source }) => source)).toEqual(["b", "b", "b"]);
});

test("an address that goes away is found missing while nothing is sent", async () => {
  const present = new Set(["192.0.2.1"]);
  const { clock, engine } = await open(present, a);
  await clock.advance(1 * minutes);
  expect(engine.report().missingAddresses).toEqual([]);

  present.clear();
  await clock.advance(10 * seconds);
  expect(engine.report().missingAddresses).toMatchObject([{ source: "a" }]);
});

test("an address that was paused is no longer missing, and is looked for anew when it is active again", async () => {
  const driver = await open(new Set(), a);
  await driver.settle();
  expect(driver.engine.report().missingAddresses).toMatchObject([{ source: "a" }]);

  driver.apply(aConfig({ sources: [{ ...a, state: "Paused", stateReason: "taken out" }] }));
  await driver.clock.advance(1 * minutes);
  expect(driver.engine.report().missingAddresses).toEqual([]);

  driver.apply(aConfig({ sources: [a] }));
  await driver.settle();
  expect(driver.engine.report().missingAddresses).toMatchObject([{ source: "a" }]);
});

test("a new configuration with another address is not held to what was said of the former", async () => {
  const driver = await open(new Set(["127.0.0.1"]), a);
  const id = await driver.send({ to: "one@inbox.test" });
  expect(await driver.why(id)).toMatchObject({ kind: "SourceMissing" });

  driver.apply(aConfig({ sources: [{ ...a, address: "127.0.0.1" }] }));
  await driver.settle();
  expect(driver.peers.delivered).toEqual(["one@inbox.test"]);
});

test("with real sockets: a bind that fails is no attempt and no bounce, whoever looked before", async () => {
  const deliverer = createDeliverer({ clock: systemClock, log: silentLog });
  // As long as nobody looks, the first transaction finds out.
  const driver = await QueueDriver.open({ config: aConfig({ sources: [a] }), ports: { deliverer } });
  story = driver;
  const id = await driver.send({ to: "one@inbox.test" });

  await vi.waitFor(async () =>
    expect(await driver.why(id)).toMatchObject({
      kind: "SourceMissing",
      text: expect.stringContaining(fault) as string,
    }),
  );
  expect((await driver.engine.explain(id))?.waiting).toMatchObject([{ attempts: 0 }]);
  expect(await bindFault("192.0.2.1")).toBe(fault);
});

test("mail for a pool of which the pod has no address waits, no attempt is counted, and the report names the pool", async () => {
  const driver = await open(new Set(["127.0.0.1"]));
  const id = await driver.send({ to: "one@inbox.test" });
  await driver.clock.advance(30 * minutes);
  expect(driver.peers.jobs).toEqual([]);
  expect(await driver.why(id)).toMatchObject({ kind: "NoSource" });
  expect(driver.engine.report().unservedPools).toEqual(["default"]);

  // The address came to this pod.
  driver.apply(aConfig({ sources: [b] }));
  await driver.settle();
  expect(driver.peers.delivered).toEqual(["one@inbox.test"]);
  expect(driver.engine.report().unservedPools).toBeUndefined();
});
