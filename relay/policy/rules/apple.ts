/** Apple's iCloud mailboxes: bracketed codes, no feedback loop, no allow list. */
import { atCount, fixedSilence, silence, slower, span, type ReplyRule } from "../replyRule.ts";

const page = "Apple, iCloud Mail postmaster, support.apple.com/102322";
const provider = "apple";

export const appleRules: readonly ReplyRule[] = [
  {
    name: "apple/volume",
    provider,
    code: /^4\d\d$/,
    text: /\bexcessive (?:volume|number of messages)\b/i,
    class: "RateLimited",
    fate: "ByCode",
    retryAfterSeconds: 1 * span.hours,
    backoff: slower(1 * span.hours),
    source: page,
    example: {
      code: 421,
      enhanced: "4.7.1",
      text: "Messages to user deferred due to excessive volume. Try again later.",
    },
  },
  {
    name: "apple/deferred",
    provider,
    code: /^4\d\d$/,
    text: /\[(?:BS02|HCM1)\]/,
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: atCount(3, fixedSilence(15 * span.minutes)),
    source: "KumoMTA community shaping: three an hour, a quarter of an hour",
    example: { code: 421, enhanced: null, text: "[HCM1] Message deferred" },
  },
  {
    name: "apple/local-policy",
    provider,
    code: /^5\d\d$/,
    text: /\[(?:CS0[12]|HM08)\]/,
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: atCount(3, silence(4 * span.hours)),
    source: page,
    example: { code: 554, enhanced: "5.7.1", text: "[CS01] Message rejected due to local policy." },
  },
  {
    name: "apple/authentication",
    provider,
    code: /^5\d\d$/,
    text: /\[HME1\]|\bdmarc\b/i,
    class: "AuthFailed",
    fate: "ByCode",
    source: page,
    example: {
      code: 554,
      enhanced: "5.7.1",
      text: "[HME1] This message was blocked for failing both SPF and DKIM authentication checks",
    },
  },
  {
    name: "apple/inactive",
    provider,
    code: /^5\d\d$/,
    text: /\binactive\b/i,
    class: "Inactive",
    fate: "ByCode",
    source: "bounce tables of senders: the user may return",
    example: { code: 550, enhanced: "5.1.1", text: "User unknown or inactive" },
  },
  {
    name: "apple/moved",
    provider,
    code: /^5\d\d$/,
    enhanced: /^5\.1\.6$/,
    class: "UnknownRecipient",
    fate: "ByCode",
    source: page,
    example: { code: 550, enhanced: "5.1.6", text: "recipient no longer on server" },
  },
];
