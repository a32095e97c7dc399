import * as fc from "fast-check";
import { expect, test } from "vitest";

import { queuedMessage, recipient } from "../../../test/support/queuedMessage.ts";
import { LaneBytes } from "./laneBytes.ts";
import { encodeMessage } from "./messageEncoder.ts";

/** Few words, so that one field often has what another has; one begins as another does. */
const word = fc.constantFrom("a.test", "b.test", "a.tests");
const wordOrNone = fc.option(word);
const sender = fc.record({ sendingDomain: wordOrNone, credential: wordOrNone, queueClass: wordOrNone });
const someone = fc.record({
  address: word.map((domain) => `someone@${domain}`),
  // The domain mail goes to need not be that of the address.
  domain: word,
  dueAt: fc.integer({ min: 1, max: 3 }),
  note: fc.boolean(),
});
const message = fc.record({ of: sender, to: fc.array(someone, { minLength: 1, maxLength: 3 }) });

type Message = typeof message extends fc.Arbitrary<infer M> ? M : never;

function bytesOf({ of: { sendingDomain, credential, queueClass }, to }: Message): Buffer {
  const recipients = to.map(({ address, domain, dueAt, note }) =>
    recipient({
      ...{ address, domain, state: { kind: "waiting", dueAt } },
      ...(note ? { notify: ["FAILURE"], orcpt: "rfc822;x" } : {}),
    }),
  );
  const id = "01J00000000000000000000001";
  const about = queuedMessage({ id, sizeBytes: 1, sendingDomain, credential, recipients });
  return encodeMessage({ ...about, ...(queueClass === null ? {} : { queueClass }) }, null);
}

/** What a lane is named by: the sender, and the domain that is due first. */
function laneOf({ of: { sendingDomain, credential, queueClass }, to }: Message) {
  const first = Math.min(...to.map(({ dueAt }) => dueAt));
  const domain = to.find(({ dueAt }) => dueAt === first)?.domain ?? "";
  return { sendingDomain, credential, ...(queueClass === null ? {} : { queueClass }), domain };
}

test("two messages wait in one lane when sender, class and the domain due first are the same, and only then", () => {
  fc.assert(
    fc.property(message, message, (a, b) => {
      const bytes = new LaneBytes();
      const [first, second] = [bytesOf(a), bytesOf(b)];
      bytes.find(first);
      const name = bytes.name(first);
      const hash = bytes.hash(first);
      expect(name).toMatchObject(laneOf(a));
      expect("queueClass" in name).toBe(a.of.queueClass !== null);

      bytes.find(second);
      const same = JSON.stringify(laneOf(a)) === JSON.stringify(laneOf(b));
      expect(bytes.equals(second, name)).toBe(same);
      expect(!same || bytes.hash(second) === hash).toBe(true);
    }),
    { numRuns: 1000 },
  );
});
