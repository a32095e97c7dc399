/**
 * What a reply means: the first rule that matches of provider rules, rules for everyone, enhanced code,
 * words, reply code. The result names its rule, so that a person can find and correct it.
 *
 * The reply code alone decides between retry and failure, unless a rule overrules it; a reply before
 * the envelope speaks of the session and never fails a recipient.
 */
import type { Reply, SmtpStage } from "../message.ts";
import { enhancedClasses, textClasses } from "./enhancedCodes.ts";
import type { PathBackoff, ReplyClass, ReplyRule } from "./replyRule.ts";
import { replyRules } from "./replyRules.ts";

export interface Classification {
  readonly rule: string;
  readonly class: ReplyClass;
  readonly fate: "Retry" | "Fail";
  readonly retryAfterSeconds: number | null;
  readonly backoff: PathBackoff | null;
}

const anyRules = replyRules.filter((rule) => rule.provider === "any");
const rulesOf = new Map<string, readonly ReplyRule[]>(
  [...new Set(replyRules.map((rule) => rule.provider))].map((provider) => [
    provider,
    [...replyRules.filter((rule) => rule.provider === provider && provider !== "any"), ...anyRules],
  ]),
);
const classOfRule = new Map(replyRules.map((rule) => [rule.name, rule.class] as const));

/** Stages at which a reply speaks of the session, not of a recipient or message. */
export const sessionStages: ReadonlySet<SmtpStage> = new Set([
  "dns",
  "connect",
  "greeting",
  "ehlo",
  "starttls",
  "auth",
  "reset",
]);

export function classifyReply(reply: Reply, provider: string, stage: SmtpStage): Classification {
  const byCode = fateOf(reply.code, stage);
  const rule = (rulesOf.get(provider) ?? anyRules).find((candidate) => matches(candidate, reply, stage));
  if (rule !== undefined) {
    const overruled = sessionStages.has(stage) ? "Retry" : rule.fate === "ByCode" ? byCode : rule.fate;
    return {
      rule: rule.name,
      class: rule.class,
      fate: overruled,
      retryAfterSeconds: rule.retryAfterSeconds ?? null,
      backoff: rule.backoff ?? null,
    };
  }
  const plain = { fate: byCode, retryAfterSeconds: null, backoff: null };
  // RFC 5321 §3.8: 421 at any time means the server closes the channel; it judges nothing.
  if (reply.code === 421 && reply.enhanced === null) {
    return { ...plain, rule: "generic/421", class: "Network" };
  }
  const detail = reply.enhanced?.replace(/^[245]\./, "");
  const known = detail === undefined ? undefined : enhancedClasses[detail];
  if (known !== undefined && detail !== "7.0" && detail !== "7.1") {
    return { ...plain, rule: `enhanced/x.${detail}`, class: known };
  }
  const words = textClasses.find((candidate) => candidate.text.test(reply.text));
  // X.7.0 and X.7.1 say only "policy": words may tell more, but never that it was the recipient.
  if (words !== undefined && (known === undefined || !speaksOfRecipient(words.class))) {
    return { ...plain, rule: `text/${words.name}`, class: words.class };
  }
  if (known !== undefined) return { ...plain, rule: `enhanced/x.${detail}`, class: known };
  if (reply.code >= 500 && reply.code <= 599) return { ...plain, rule: "generic/5xx", class: "Undetermined" };
  if (reply.code >= 400 && reply.code <= 499) return { ...plain, rule: "generic/4xx", class: "Undetermined" };
  // Neither yes nor no: a 3xx or a number of no class where an answer was due.
  return { ...plain, rule: "generic/odd-code", class: "Protocol" };
}

/** Whether a failure of this class says something about the recipient's mailbox. */
export function speaksOfRecipient(replyClass: ReplyClass): boolean {
  return (
    replyClass === "UnknownRecipient" ||
    replyClass === "BadDomain" ||
    replyClass === "Inactive" ||
    replyClass === "MailboxFull"
  );
}

/** Whether a recipient's last attempt was greylisted, so that the same source must return. */
export function isGreylisted(ruleName: string): boolean {
  return classOfRule.get(ruleName) === "Greylist";
}

function fateOf(code: number, stage: SmtpStage): "Retry" | "Fail" {
  return !sessionStages.has(stage) && code >= 500 && code <= 599 ? "Fail" : "Retry";
}

function matches(rule: ReplyRule, reply: Reply, stage: SmtpStage): boolean {
  // A refusal for policy's sake (X.7.x) never marks the recipient, whatever its words; three codes of
  // that class are about the mailbox by definition: RFC 5248 X.7.13, RFC 7293 X.7.17 and X.7.18.
  if (speaksOfRecipient(rule.class) && /^[45]\.7\.(?!(?:13|17|18)$)/.test(reply.enhanced ?? "")) return false;
  return (
    (rule.code?.test(String(reply.code)) ?? true) &&
    (rule.enhanced === undefined || (reply.enhanced !== null && rule.enhanced.test(reply.enhanced))) &&
    (rule.text?.test(reply.text) ?? true) &&
    (rule.stages?.includes(stage) ?? true)
  );
}
