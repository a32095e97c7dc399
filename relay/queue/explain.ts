/** One message as `smtp-relay explain` shows it: what waits, why, until when, and what binds next. */
import type { Explanation, SetAside, Unreadable } from "../contract/admin.ts";
import { ulidTime } from "../kit/ulid.ts";
import type { Instant, LastAttempt, MessageId } from "../message.ts";
import { DEFAULT_CLASS } from "../policy/queueClass.ts";
import { bind } from "./binding.ts";
import { queueClassOf } from "./compiledConfig.ts";
import type { Entry } from "./parcel.ts";
import { type QueueState, whereTo } from "./queueState.ts";
import type { SetAside as SetAsideMessage } from "./spool.ts";

export function explainMessage(state: QueueState, entry: Entry, now: Instant): Explanation {
  const { message } = entry;
  const cache = new Map();
  const waiting: Explanation["waiting"] = [];
  for (const parcel of entry.parcels) {
    const { site, provider } = whereTo(state, parcel);
    const { rule, nextTryAt, next } = bind(state, parcel, now, cache);
    for (const index of parcel.indices) {
      const recipient = entry.recipients[index];
      if (recipient === undefined || recipient.state.kind !== "waiting") continue;
      waiting.push({
        address: recipient.address,
        site,
        provider: provider.name,
        attempts: recipient.attempts,
        nextTryAt: isoOf(nextTryAt),
        rule,
        nextLimits: [...next],
        last: lastOf(recipient.last),
      });
    }
  }
  return {
    pod: state.compiled?.podName ?? "",
    id: message.id,
    receivedAt: new Date(message.receivedAt).toISOString(),
    expiresAt: new Date(message.expiresAt).toISOString(),
    credential: message.credential,
    sendingDomain: message.sendingDomain,
    queueClass: message.queueClass ?? DEFAULT_CLASS,
    priority: state.compiled === null ? "Normal" : queueClassOf(state.compiled, message).priority,
    sizeBytes: message.sizeBytes,
    recipientCount: entry.recipients.length,
    waiting,
  };
}

/** One that is sent to nobody any more, and why. */
export function explainSetAside(
  { compiled }: QueueState,
  { id, at, reason, sizeBytes }: SetAsideMessage,
): SetAside {
  return {
    pod: compiled?.podName ?? "",
    ...{ id, sizeBytes, reason },
    receivedAt: isoOf(ulidTime(id)),
    setAsideAt: isoOf(at),
  };
}

/** One whose envelope could not be read just now: the look that found it begins the one that decides. */
export function explainUnreadable({ compiled }: QueueState, id: MessageId, reason: string): Unreadable {
  return {
    pod: compiled?.podName ?? "",
    ...{ id, reason, receivedAt: isoOf(ulidTime(id)) },
    next: "the relay looks once more: it is set aside if no other copy of its envelope is left, and else stays queued and is tried again",
  };
}

export function isoOf(at: Instant): string;
export function isoOf(at: Instant | null): string | null;
export function isoOf(at: Instant | null): string | null {
  return at === null ? null : new Date(at).toISOString();
}

/** The last attempt as the admin contract writes it. */
export function lastOf(last: LastAttempt | null): Explanation["waiting"][number]["last"] {
  return last === null ? null : { ...last, at: isoOf(last.at) };
}
