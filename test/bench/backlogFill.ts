/**
 * Fills a spool with the product's own spool code, much faster than SMTP would: messages as a relay has them
 * that was down, or whose receivers push back. Each has a body of its own, one recipient, and where it was
 * tried, what the receiver said.
 */
import { randomBytes } from "node:crypto";

import { systemClock } from "../../relay/kit/clock.ts";
import { silentLog } from "../../relay/kit/log.ts";
import { createUlids } from "../../relay/kit/ulid.ts";
import type { QueuedMessage } from "../../relay/message.ts";
import { openFileSpool } from "../../relay/queue/fileSpool.ts";

export interface Filling {
  readonly directory: string;
  readonly messages: number;
  /** Recipient domain of the n-th message. */
  readonly domain: (n: number) => string;
  /** Due now, or tried once and due again after this. */
  readonly deferredMs: number | null;
}

/** Commits at a time: enough for full batches. */
const AT_ONCE = 2000;
const DAY_MS = 86_400_000;

export async function fillSpool({ directory, messages, domain, deferredMs }: Filling): Promise<void> {
  const clock = systemClock;
  const newId = createUlids({ clock, random: { bytes: (count) => randomBytes(count), draw: Math.random } });
  const spool = await openFileSpool({ directory, clock, log: silentLog });
  await spool.recover();
  const put = async (n: number): Promise<void> => {
    const id = newId();
    const to = `recipient-${n % 1000}@${domain(n)}`;
    const header = `Message-ID: <${id}@mail.example.test>\r\nFrom: sender@example.test\r\nTo: ${to}\r\nSubject: ${n}\r\n\r\n`;
    const content = Buffer.from(`${header}${`Message ${n} of a long queue.\r\n`.repeat(8)}`);
    const now = clock.now();
    const message: QueuedMessage = {
      id,
      receivedAt: now,
      expiresAt: now + 5 * DAY_MS,
      envelope: { from: "sender@example.test", smtpUtf8: false, eightBitMime: true, requireTls: false },
      credential: null,
      sendingDomain: "example.test",
      sizeBytes: content.length,
      headerBytes: header.length,
      bodyHash: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
      recipients: [
        { address: to, domain: domain(n), state: { kind: "waiting", dueAt: now }, attempts: 0, last: null },
      ],
    };
    const writer = await spool.begin(id);
    await writer.write(content);
    await writer.commit(message);
    if (deferredMs === null) return;
    const last = {
      ...{ at: now, source: "a", host: `mx.${domain(n)}`, code: 451, enhanced: "4.7.1" },
      text: "The server is too busy to take your message now, please try again later",
      rule: "generic/4xx",
    };
    const state = { kind: "waiting", dueAt: now + deferredMs } as const;
    await spool.record([{ id, changes: [{ index: 0, recipient: { state, attempts: 1, last } }] }]);
  };
  let next = 0;
  const worker = async () => {
    while (next < messages) await put(next++);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  await spool.close();
}
