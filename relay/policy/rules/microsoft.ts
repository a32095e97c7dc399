/**
 * Microsoft, twice: the consumer edge (outlook.com, hotmail.com) and Exchange Online. Both speak in codes
 * of their own in brackets or parentheses; most of them are explained only in delisting portals.
 */
import { atCount, fixedSilence, silence, slower, span, type ReplyRule } from "../replyRule.ts";

const consumer = "Outlook.com postmaster, policies and troubleshooting";
const exchange = "Exchange Online non-delivery reports, learn.microsoft.com";

type Shape = Omit<ReplyRule, "provider">;

/** Replies that both edges give. */
const shared: readonly Shape[] = [
  {
    name: "blocked-list",
    code: /^5\d\d$/,
    text: /\(S31[45]0\)/,
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: silence(2 * span.hours),
    source: `${consumer}; S3140 by analogy with S3150`,
    example: {
      code: 550,
      enhanced: "5.7.1",
      text: "Unfortunately, messages from [192.0.2.10] weren't sent. Please contact your Internet service provider since part of their network is on our block list (S3150).",
    },
  },
  {
    name: "domain-blocklisted",
    code: /^5\d\d$/,
    text: /\(S8002\)/,
    class: "DnsblBlock",
    fate: "ByCode",
    source: "seen in public reports",
    example: {
      code: 550,
      enhanced: "5.7.1",
      text: "Client host rejected, the sender's domain is on a block list (S8002)",
    },
  },
  {
    name: "reputation-limit",
    code: /^4\d\d$/,
    enhanced: /^4\.7\.65[01]$/,
    class: "RateLimited",
    fate: "ByCode",
    backoff: atCount(3, silence(30 * span.minutes)),
    source: "KumoMTA community shaping: three an hour, half an hour",
    example: {
      code: 451,
      enhanced: "4.7.650",
      text: "The mail server [192.0.2.10] has been temporarily rate limited due to IP reputation. (S775)",
    },
  },
  {
    name: "busy",
    code: /^4\d\d$/,
    enhanced: /^4\.7\.500$/,
    text: /\bserver busy\b/i,
    class: "RateLimited",
    fate: "ByCode",
    backoff: slower(15 * span.minutes),
    source: "KumoMTA community shaping",
    example: {
      code: 451,
      enhanced: "4.7.500",
      text: "Server busy. Please try again later from [192.0.2.10]. (S77719)",
    },
  },
  {
    name: "access-denied-4xx",
    code: /^4\d\d$/,
    enhanced: /^4\.7\.(?:[56]\d\d|8[5-9]\d)$/,
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: atCount(3, slower(1 * span.hours)),
    source: exchange,
    example: { code: 451, enhanced: "4.7.501", text: "Access denied, please try again later AS(4711)" },
  },
  {
    name: "banned",
    code: /^5\d\d$/,
    enhanced: /^5\.7\.(?:511|60[6-9]|6[1-4]\d)$/,
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: fixedSilence(24 * span.hours),
    source: `${exchange}; delisting portal`,
    example: {
      code: 550,
      enhanced: "5.7.606",
      text: "Access denied, banned sending IP [192.0.2.10]. To request removal from this list please visit https://sender.office.com/",
    },
  },
  {
    name: "bulk-authentication",
    code: /^5\d\d$/,
    enhanced: /^5\.7\.515$/,
    class: "AuthFailed",
    fate: "ByCode",
    source: "Microsoft tech community, requirements for high-volume senders, 2025-04",
    example: {
      code: 550,
      enhanced: "5.7.515",
      text: "Access denied, sending domain example.com does not meet the required authentication level.",
    },
  },
  {
    name: "authentication",
    code: /^5\d\d$/,
    enhanced: /^5\.7\.(?:509|23|26)$/,
    class: "AuthFailed",
    fate: "ByCode",
    source: exchange,
    example: {
      code: 550,
      enhanced: "5.7.509",
      text: "Access denied, sending domain example.com does not pass DMARC verification",
    },
  },
  {
    // Over IPv6 only; another address family of ours may pass.
    name: "ipv6",
    code: /^5\d\d$/,
    enhanced: /^5\.7\.(?:25|510)$/,
    class: "AuthFailed",
    fate: "ByCode",
    source: exchange,
    example: {
      code: 550,
      enhanced: "5.7.25",
      text: "Access denied, the sending IPv6 address must have a reverse DNS record",
    },
  },
  {
    name: "recipient-rate",
    enhanced: /^5\.2\.12[12]$/,
    class: "RateLimited",
    fate: "Retry",
    retryAfterSeconds: 1 * span.hours,
    source: `${exchange}; a limit an hour, temporary in spite of 554`,
    example: {
      code: 554,
      enhanced: "5.2.122",
      text: "The recipient has exceeded their limit for the number of messages they can receive per hour",
    },
  },
  {
    // The registry's X.1.10 is "null MX"; here it is an unknown mailbox.
    name: "unknown",
    code: /^5\d\d$/,
    enhanced: /^5\.1\.10$/,
    class: "UnknownRecipient",
    fate: "ByCode",
    source: exchange,
    example: {
      code: 550,
      enhanced: "5.1.10",
      text: "RESOLVER.ADR.RecipientNotFound; Recipient someone@example.com not found by SMTP address lookup",
    },
  },
  {
    name: "directory-edge-block",
    code: /^5\d\d$/,
    enhanced: /^5\.4\.1$/,
    text: /\brecipient address rejected: access denied\b/i,
    class: "UnknownRecipient",
    fate: "ByCode",
    source: exchange,
    example: {
      code: 550,
      enhanced: "5.4.1",
      text: "Recipient address rejected: Access denied. AS(201806281)",
    },
  },
  {
    name: "mailbox-unavailable",
    code: /^550$/,
    enhanced: /^5\.5\.0$/,
    text: /\bmailbox unavailable\b/i,
    class: "UnknownRecipient",
    fate: "ByCode",
    source: consumer,
    example: {
      code: 550,
      enhanced: "5.5.0",
      text: "Requested action not taken: mailbox unavailable (S2017062302).",
    },
  },
];

/** Codes of the consumer edge's old gateway. */
const gateway: readonly Shape[] = [
  {
    name: "rate-rp",
    code: /^4\d\d$/,
    text: /\bRP-00[123]\b/,
    class: "RateLimited",
    fate: "ByCode",
    backoff: slower(30 * span.minutes),
    source: consumer,
    example: {
      code: 421,
      enhanced: null,
      text: "RP-001 Unfortunately, some messages from 192.0.2.10 weren't sent: the mail server IP has exceeded the rate limit allowed",
    },
  },
  {
    name: "namespace-mining",
    code: /^5\d\d$/,
    text: /\bSC-00[24]\b/,
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: fixedSilence(24 * span.hours),
    source: `${consumer}; SC-002 address probing, SC-004 complaints`,
    example: {
      code: 550,
      enhanced: null,
      text: "SC-002 Mail rejected by Outlook.com for policy reasons: namespace mining",
    },
  },
  {
    name: "compromised",
    code: /^5\d\d$/,
    text: /\b(?:SC-003|DY-00[12])\b/,
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: fixedSilence(24 * span.hours),
    source: `${consumer}; open proxy, dynamic or compromised address`,
    example: {
      code: 550,
      enhanced: null,
      text: "DY-001 Mail rejected by Outlook.com for policy reasons: dynamic IP addresses are not accepted",
    },
  },
  {
    name: "spamhaus",
    code: /^5\d\d$/,
    text: /\bOU-001\b/,
    class: "DnsblBlock",
    fate: "Retry",
    retryAfterSeconds: 4 * span.hours,
    backoff: silence(4 * span.hours),
    source: `${consumer}; kept until the address is off the list`,
    example: {
      code: 550,
      enhanced: null,
      text: "OU-001 Mail rejected by Outlook.com for policy reasons: the IP is listed by Spamhaus",
    },
  },
  {
    name: "policy-content",
    code: /^5\d\d$/,
    text: /\b(?:SC-001|OU-002)\b/,
    class: "ContentRejected",
    fate: "ByCode",
    backoff: atCount(3, silence(1 * span.hours)),
    source: consumer,
    example: {
      code: 550,
      enhanced: null,
      text: "SC-001 Mail rejected by Outlook.com for policy reasons: spam-like characteristics",
    },
  },
];

const of = (provider: string, shapes: readonly Shape[]): readonly ReplyRule[] =>
  shapes.map((shape) => ({ ...shape, provider, name: `${provider}/${shape.name}` }));

export const microsoftRules: readonly ReplyRule[] = [
  ...of("microsoft", [...gateway, ...shared]),
  ...of("office365", shared),
];
