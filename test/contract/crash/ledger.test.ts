/** What the crash suite calls lost, twice and in flight: the books it closes, without a relay. */
import { expect, test } from "vitest";

import { bounceKey, Ledger, recipientKey } from "../../crash/ledger.ts";

const ok = recipientKey("m1", 0, "ok");
const never = recipientKey("m2", 0, "never");
const bounce = bounceKey("m2");

function verdict(ledger: Ledger) {
  return ledger.close().totals;
}

test("what was accepted and never came is lost, and told by name", () => {
  const ledger = new Ledger();
  ledger.accept(ok);
  ledger.lifeEnded(true);
  const { totals, troubles } = ledger.close();
  expect(totals).toMatchObject({ kills: 1, accepted: 1, lost: 1 });
  expect(troubles).toEqual(["m1.0.ok was accepted and never came"]);
});

test("what came without its 250 having been seen is nobody's loss", () => {
  const ledger = new Ledger();
  ledger.deliver(ok, null);
  expect(verdict(ledger)).toMatchObject({ accepted: 0, delivered: 1, lost: 0, duplicates: 0 });
});

test("what was in flight at a kill may come once more, and only once", () => {
  const ledger = new Ledger();
  ledger.accept(ok);
  ledger.deliver(ok, null);
  ledger.lifeEnded(true);
  ledger.deliver(ok, null);
  expect(verdict(ledger)).toMatchObject({ inFlightAtKills: 1, duplicates: 1, duplicatesBeyondInFlight: 0 });
  ledger.deliver(ok, null);
  expect(verdict(ledger)).toMatchObject({ duplicates: 2, duplicatesBeyondInFlight: 1 });
});

test("what was recorded before the kill may not come again", () => {
  const ledger = new Ledger();
  ledger.accept(ok);
  ledger.deliver(ok, null);
  ledger.recorded(ok);
  ledger.lifeEnded(true);
  ledger.deliver(ok, null);
  expect(verdict(ledger)).toMatchObject({ inFlightAtKills: 0, duplicatesBeyondInFlight: 1 });
});

test("what comes twice in one life is explained by no kill", () => {
  const ledger = new Ledger();
  ledger.accept(ok);
  ledger.deliver(ok, null);
  ledger.deliver(ok, null);
  expect(verdict(ledger)).toMatchObject({ duplicatesBeyondInFlight: 1 });
});

test("a refused recipient is final with its bounce, and lost without", () => {
  const ledger = new Ledger();
  ledger.accept(never);
  ledger.refuse(never);
  expect(ledger.open).toBe(1);
  expect(verdict(ledger)).toMatchObject({ lost: 1 });
  ledger.deliver(bounce, null);
  expect(ledger.open).toBe(0);
  expect(verdict(ledger)).toMatchObject({ lost: 0, bounced: 1 });
});

test("a refusal that was not recorded may bounce again after the kill, a recorded one may not", () => {
  const ledger = new Ledger();
  ledger.accept(never);
  ledger.refuse(never);
  ledger.deliver(bounce, null);
  ledger.recorded(bounce);
  ledger.lifeEnded(true);
  ledger.deliver(bounce, null);
  expect(verdict(ledger)).toMatchObject({ duplicates: 1, duplicatesBeyondInFlight: 0 });
  ledger.recorded(bounce);
  ledger.lifeEnded(true);
  ledger.deliver(bounce, null);
  expect(verdict(ledger)).toMatchObject({ duplicates: 2, duplicatesBeyondInFlight: 1 });
});

test("a life that ended by itself is no kill, and what it had in flight still counts", () => {
  const ledger = new Ledger();
  ledger.accept(ok);
  ledger.deliver(ok, null);
  ledger.lifeEnded(false);
  expect(verdict(ledger)).toMatchObject({ kills: 0, inFlightAtKills: 1 });
});

test("another body than was sent is damage", () => {
  const ledger = new Ledger();
  ledger.sent(ok, "hash");
  ledger.accept(ok);
  ledger.deliver(ok, "other");
  expect(verdict(ledger)).toMatchObject({ damaged: 1, lost: 0 });
});
