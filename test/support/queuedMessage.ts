/** Messages and recipients for tests of the queue: valid ones, of which a test names only what matters. */
import type { QueuedMessage, Recipient } from "../../relay/message.ts";

export function recipient(part: Partial<Recipient> & { address: string }): Recipient {
  return {
    domain: part.address.slice(part.address.lastIndexOf("@") + 1),
    state: { kind: "waiting", dueAt: 0 },
    attempts: 0,
    last: null,
    ...part,
  };
}

/** A message to one recipient that waits; `id` and `sizeBytes` are the caller's. */
export function queuedMessage(
  part: Partial<QueuedMessage> & { id: string; sizeBytes: number },
): QueuedMessage {
  return {
    receivedAt: Date.parse("2026-11-23T12:00:00Z"),
    expiresAt: Date.parse("2026-11-28T12:00:00Z"),
    envelope: {
      from: "sender@example.test",
      smtpUtf8: false,
      eightBitMime: false,
      requireTls: false,
    },
    credential: "app",
    sendingDomain: "example.test",
    headerBytes: 0,
    bodyHash: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    recipients: [recipient({ address: "rcpt@inbox.test" })],
    ...part,
  };
}
