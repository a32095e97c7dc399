/** What a relay's admin socket might say, for tests of the socket and of the command that asks it. */
import type { AdminSource } from "../../relay/admin/server.ts";
import type { Explanation, MessageListing, QueueListing } from "../../relay/contract/admin.ts";

export const ID = "01JDCZ8M3R5T7V9X1Z3B5D7F9H";

export const backoff = {
  kind: "Backoff",
  text: "provider google on address a is silent: 421 4.7.28 (rule google/rate-4.7.28)",
  since: "2026-11-23T14:02:11.000Z",
  until: "2026-11-23T14:12:00.000Z",
} as const;

const lastAttempt = {
  at: "2026-11-23T14:02:10.000Z",
  source: "a",
  host: "gmail-smtp-in.l.google.com",
  code: 421,
  enhanced: "4.7.28",
  text: "Gmail has detected an unusual rate of mail",
  rule: "google/rate-4.7.28",
};

export function queueOf(pod: string, sites: QueueListing["sites"] = [googleSite()]): QueueListing {
  return { pod, at: "2026-11-23T14:02:49.000Z", sites };
}

export function googleSite(
  changes: Partial<QueueListing["sites"][number]> = {},
): QueueListing["sites"][number] {
  return {
    site: "gmail-smtp-in.l.google.com",
    provider: "google",
    queueClass: "default",
    recipients: 1090,
    oldestSeconds: 38,
    nextTryAt: "2026-11-23T14:12:00.000Z",
    rule: backoff,
    sample: [ID],
    ...changes,
  };
}

export function messageOf(pod: string): MessageListing {
  return {
    pod,
    id: ID,
    receivedAt: "2026-11-23T14:01:07.000Z",
    expiresAt: "2026-11-28T14:01:07.000Z",
    from: "you@example.com",
    credential: "app",
    sendingDomain: "example.com",
    queueClass: "default",
    sizeBytes: 18_432,
    header: "Subject: hello\r\n\tand more\r\nX-Evil: \u001b[2J\r\n\r\n",
    recipients: [
      {
        address: "someone@inbox.test",
        state: "waiting",
        attempts: 1,
        dueAt: "2026-11-23T14:12:00.000Z",
        last: lastAttempt,
      },
      { address: "other@inbox.test", state: "delivered", attempts: 1, dueAt: null, last: null },
    ],
  };
}

export function explanationOf(
  pod: string,
  changes: Partial<Explanation["waiting"][number]>[] = [{}],
): Explanation {
  const { id, receivedAt, expiresAt, credential, sendingDomain, sizeBytes } = messageOf(pod);
  return {
    pod,
    id,
    receivedAt,
    expiresAt,
    credential,
    sendingDomain,
    queueClass: "default",
    priority: "Normal",
    sizeBytes,
    recipientCount: 2,
    waiting: changes.map((change) => ({
      address: "someone@inbox.test",
      site: "gmail-smtp-in.l.google.com",
      provider: "google",
      attempts: 1,
      nextTryAt: "2026-11-23T14:12:00.000Z",
      rule: backoff,
      nextLimits: ["1 connection", "12 of 8000 left today on a (warm-up, 2026-11-23)"],
      last: lastAttempt,
      ...change,
    })),
  };
}

export function adminSource(pod: string, changes: Partial<AdminSource> = {}): AdminSource {
  return {
    pod,
    queue: () => queueOf(pod),
    message: (id) => (id === ID ? messageOf(pod) : null),
    explain: (id) => (id === ID ? explanationOf(pod) : null),
    find: (prefix) => (ID.startsWith(prefix) ? [ID] : []),
    ...changes,
  };
}
