/**
 * What every outcome means: for the recipient (delivered, tried again, bounced) and for the path it took.
 * The one place that owns this; queue/ carries it out and owns no rule.
 *
 * A session that failed speaks of the site and never fails a recipient. A 5xx at MAIL or after the final
 * dot fails every recipient it is given for; at RCPT that one. A connection lost after the final dot is
 * an unknown end, so it is tried again (RFC 5321 §4.5.3.2.6 makes it rare by waiting ten minutes).
 */
import type {
  Instant,
  LastAttempt,
  Outcome,
  Recipient,
  RecipientState,
  Reply,
  SmtpStage,
} from "../message.ts";
import { classifyReply, sessionStages } from "./classifyReply.ts";
import type { PathBackoff, ReplyClass } from "./replyRule.ts";
import { greylistDelaySeconds, nextTry, retryDelaySeconds, type RetryPolicy } from "./retrySchedule.ts";

export type Verdict =
  | {
      readonly kind: "delivered";
      readonly attempts: number;
      readonly last: LastAttempt;
      readonly class: null;
    }
  | {
      readonly kind: "retry";
      readonly at: Instant;
      readonly attempts: number;
      readonly last: LastAttempt;
      readonly class: ReplyClass;
    }
  | {
      readonly kind: "bounced";
      readonly reason: "Refused" | "Expired";
      readonly attempts: number;
      readonly last: LastAttempt;
      readonly class: ReplyClass;
    };

/** What a transaction tells about a path; policy/shaping.ts folds it into the path's state. */
export type PathEvent =
  | { readonly kind: "succeeded" }
  /** No session came about, or (`lost`) one broke during the dialogue. */
  | { readonly kind: "failed"; readonly rule: string; readonly reason: string; readonly lost: boolean }
  | { readonly kind: "told"; readonly rule: string; readonly reason: string; readonly backoff: PathBackoff };

export interface Circumstances {
  readonly now: Instant;
  readonly expiresAt: Instant;
  /** In [0, 1); one a transaction, so that its recipients stay together. */
  readonly draw: number;
  readonly retry: RetryPolicy;
  readonly provider: string;
  readonly source: string | null;
  readonly host: string | null;
  /** Whether another recipient of the same transaction was delivered to. */
  readonly othersDelivered: boolean;
}

/** The longest reply or failure text kept, in characters. */
const LONGEST_TEXT = 1024;

export function decide(recipient: Recipient, outcome: Outcome, around: Circumstances): Verdict {
  const attempts = recipient.attempts + 1;
  const last = (fields: Pick<LastAttempt, "code" | "enhanced" | "text" | "rule">): LastAttempt => ({
    at: around.now,
    source: around.source,
    host: around.host,
    ...fields,
    text: fields.text.slice(0, LONGEST_TEXT),
  });
  const again = (attempt: LastAttempt, replyClass: ReplyClass, delaySeconds: number): Verdict => {
    const next = nextTry(around.now, delaySeconds, around.expiresAt);
    return next.kind === "retry"
      ? { kind: "retry", at: next.at, attempts, last: attempt, class: replyClass }
      : { kind: "bounced", reason: "Expired", attempts, last: attempt, class: replyClass };
  };
  const scheduled = () => retryDelaySeconds(around.retry, attempts, around.draw);

  switch (outcome.kind) {
    case "delivered":
      return {
        kind: "delivered",
        attempts,
        last: last({ ...outcome.reply, rule: "delivered" }),
        class: null,
      };
    case "unreachable": {
      const rule = `session/${outcome.stage}`;
      const attempt = last({ code: 0, enhanced: sessionCode(outcome.stage), text: outcome.reason, rule });
      return again(attempt, "Network", scheduled());
    }
    case "unroutable": {
      const rule = `dns/${outcome.enhanced}`;
      const attempt = last({ code: 0, enhanced: outcome.enhanced, text: outcome.reason, rule });
      if (!outcome.permanent) return again(attempt, "Network", scheduled());
      return { kind: "bounced", reason: "Refused", attempts, last: attempt, class: "BadDomain" };
    }
    case "replied": {
      const meaning = classifyReply(outcome.reply, around.provider, outcome.stage);
      const attempt = last({ ...outcome.reply, rule: meaning.rule });
      if (meaning.fate === "Fail") {
        return { kind: "bounced", reason: "Refused", attempts, last: attempt, class: meaning.class };
      }
      if (meaning.class === "TooManyRecipients" && around.othersDelivered) {
        // RFC 5321 §4.5.3.1.10: the rest goes at once, in a transaction of its own; this was no attempt.
        return {
          kind: "retry",
          at: around.now,
          attempts: recipient.attempts,
          last: attempt,
          class: meaning.class,
        };
      }
      if (meaning.class === "Greylist") {
        return again(attempt, meaning.class, greylistDelaySeconds(around.retry, attempts, around.draw));
      }
      const delay =
        meaning.retryAfterSeconds === null
          ? scheduled()
          : Math.min(meaning.retryAfterSeconds, around.retry.longestDelaySeconds) * (1 + around.draw / 10);
      return again(attempt, meaning.class, delay);
    }
  }
}

/** What waits too long is bounced wherever it waits; RFC 3464 §2.3.4 and RFC 3463: status 4.4.7. */
export function expire(recipient: Recipient, now: Instant): Verdict {
  const last = recipient.last ?? {
    at: now,
    source: null,
    host: null,
    code: 0,
    enhanced: "4.4.7",
    text: "No attempt was possible before the message expired.",
    rule: "queue/expired",
  };
  return { kind: "bounced", reason: "Expired", attempts: recipient.attempts, last, class: "Network" };
}

/** The durable state a verdict stands for. */
export function settled(
  verdict: Verdict,
  now: Instant,
): { readonly state: RecipientState; readonly attempts: number; readonly last: LastAttempt } {
  const { attempts, last } = verdict;
  switch (verdict.kind) {
    case "delivered":
      return { state: { kind: "delivered", at: now }, attempts, last };
    case "retry":
      return { state: { kind: "waiting", dueAt: verdict.at }, attempts, last };
    case "bounced":
      return { state: { kind: "bounced", at: now, reason: verdict.reason }, attempts, last };
  }
}

export interface PathFindings {
  /** About source → site: whether sessions come about. Null: nothing was learnt. */
  readonly session: PathEvent | null;
  /** About source → provider (or site): what the peer thinks of us; one event a rule. */
  readonly standing: readonly PathEvent[];
}

/** What one transaction tells about its path. `failedAt` is where the session broke, if it did. */
export function findings(
  outcomes: readonly Outcome[],
  failedAt: SmtpStage | null,
  provider: string,
): PathFindings {
  const told = new Map<string, PathEvent>();
  let judged = false;
  let spoke = false;
  let failure = "";
  for (const outcome of outcomes) {
    switch (outcome.kind) {
      case "delivered":
        spoke = true;
        break;
      case "replied": {
        spoke = true;
        const meaning = classifyReply(outcome.reply, provider, outcome.stage);
        judged ||= judgesUs(meaning.class);
        failure ||= replyFact(outcome.reply);
        if (meaning.backoff !== null) {
          const reason = replyFact(outcome.reply);
          told.set(meaning.rule, { kind: "told", rule: meaning.rule, reason, backoff: meaning.backoff });
        }
        break;
      }
      case "unreachable":
        failure ||= outcome.reason;
        break;
      case "unroutable":
        break;
    }
  }
  const standing: PathEvent[] = [...told.values()];
  if (standing.length === 0 && spoke && !judged && failedAt === null) standing.push({ kind: "succeeded" });
  let session: PathEvent | null = null;
  if (failedAt !== null && failedAt !== "dns") {
    // A reply that closed the session and has a rule of its own is told once, as that rule.
    const lost = !sessionStages.has(failedAt);
    if (told.size === 0) session = { kind: "failed", rule: `session/${failedAt}`, reason: failure, lost };
  } else if (spoke) {
    session = { kind: "succeeded" };
  }
  return { session, standing };
}

/** "421 4.7.28": code and enhanced code only, fit for reports that may name no address. */
export function replyFact(reply: Reply): string {
  return reply.enhanced === null ? String(reply.code) : `${reply.code} ${reply.enhanced}`;
}

/** Whether a class speaks of our rate or reputation, so that the path has not succeeded. */
function judgesUs(replyClass: ReplyClass): boolean {
  return replyClass === "RateLimited" || replyClass === "ReputationBlock" || replyClass === "DnsblBlock";
}

/** RFC 3463: 4.4.1 no answer, 4.4.2 bad connection, 4.7.5 cryptographic failure. */
function sessionCode(stage: SmtpStage): string {
  switch (stage) {
    case "dns":
      return "4.4.3";
    case "connect":
    case "greeting":
      return "4.4.1";
    case "starttls":
      return "4.7.5";
    case "auth":
      return "4.7.8";
    case "ehlo":
    case "mail":
    case "rcpt":
    case "data":
    case "content":
    case "reset":
      return "4.4.2";
  }
}
