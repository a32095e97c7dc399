/** What the fixture of a format holds: every kind of record and of content, and what a reader must find. */
import type { LastAttempt, QueuedMessage, Recipient } from "../../../../relay/message.ts";
import type { Spool } from "../../../../relay/queue/spool.ts";
import { recipient } from "../../../support/queuedMessage.ts";
import { nthId, put } from "../harness.ts";

const accepted = Date.parse("2026-11-23T12:00:00Z");
const waiting = (dueAt: number) => ({ kind: "waiting", dueAt }) as const;
const last: LastAttempt = {
  at: accepted + 1000,
  source: "a",
  host: "mx.inbox.test",
  code: 450,
  enhanced: "4.2.1",
  text: "try again later, größer",
  rule: "generic/4xx",
};
const deferred = { state: waiting(accepted + 300_000), attempts: 2, last };
const delivered = { state: { kind: "delivered", at: accepted + 2000 }, attempts: 1, last: null } as const;
const bounced = {
  state: { kind: "bounced", at: accepted + 2000, reason: "Refused" },
  attempts: 1,
  last: { ...last, source: null, host: null, enhanced: null },
} as const;

const plain = recipient({ address: "one@inbox.test", state: waiting(accepted) });
const rich: Partial<QueuedMessage> = {
  receivedAt: accepted + 7,
  credential: null,
  sendingDomain: null,
  envelope: {
    from: "",
    ret: "HDRS",
    envid: "order 7",
    smtpUtf8: true,
    eightBitMime: true,
    requireTls: true,
  },
  recipients: [
    recipient({
      address: "grüße@inbox.test",
      state: waiting(accepted),
      notify: ["SUCCESS", "DELAY"],
      orcpt: "rfc822;a+2Bb@c",
    }),
    recipient({ address: "b@[192.0.2.1]", domain: "[192.0.2.1]", state: waiting(accepted + 5) }),
    recipient({ address: "c@other.test", state: waiting(accepted), notify: ["NEVER"] }),
    recipient({ address: "d@other.test", state: waiting(accepted) }),
  ],
};
const large = `Subject: large\r\n\r\n${"0123456789abcdef\r\n".repeat(500)}`;

/** By id: the message as a reader must find it, and its content. */
export const expected = new Map<string, { readonly message: QueuedMessage; readonly content: string }>();

export const expectedUsage = [{ counter: "a|google|2026-11-23", taken: 7 }];

/** Fills an empty spool; `expected` then says what is in it. */
export async function fill(spool: Spool): Promise<void> {
  const keep = async (n: number, content: string, part: Partial<QueuedMessage>) => {
    const message = await put(spool, nthId(n), content, part);
    expected.set(message.id, { message, content });
  };
  const change = (
    n: number,
    changes: readonly [number, Pick<Recipient, "state" | "attempts" | "last">][],
  ) => {
    const known = expected.get(nthId(n));
    if (known === undefined) throw new Error(`The story has no message ${n}.`);
    const recipients = [...known.message.recipients];
    for (const [index, recipientState] of changes) {
      const before = recipients[index];
      if (before !== undefined) recipients[index] = { ...before, ...recipientState };
    }
    expected.set(nthId(n), { ...known, message: { ...known.message, recipients } });
    return spool.record([
      { id: nthId(n), changes: changes.map(([index, recipient]) => ({ index, recipient })) },
    ]);
  };
  await keep(1, "Subject: a\r\n\r\nnever tried\r\n", { headerBytes: 14, recipients: [plain] });
  await keep(2, "Subject: b\r\n\r\ndeferred\r\n", { headerBytes: 14, recipients: [plain] });
  await change(2, [[0, deferred]]);
  await keep(3, "Subject: c\r\n\r\nmany\r\n", { headerBytes: 14, ...rich });
  await change(3, [
    [0, deferred],
    [2, bounced],
  ]);
  await change(3, [[3, delivered]]);
  await keep(4, large, { headerBytes: 18, recipients: [plain] });
  for (let n = 10; n < 20; n++) {
    await put(spool, nthId(n), `gone ${n}`);
    await spool.record([{ id: nthId(n), changes: [{ index: 0, recipient: delivered }] }]);
  }
  // Of the size of a page, so that some end near the end of one: those are padded, since version 4.
  for (let n = 20; n < 23; n++) {
    await put(spool, nthId(n), "x".repeat(3800));
    await spool.record([{ id: nthId(n), changes: [{ index: 0, recipient: delivered }] }]);
  }
  await spool.recordUsage(expectedUsage);
  await keep(5, "Subject: e\r\n\r\nafter the checkpoint\r\n", {
    headerBytes: 14,
    recipients: [plain],
    bodyHash: "none",
  });
  await change(2, [[0, { ...deferred, attempts: 3 }]]);
}
