/**
 * French mailbox providers. Orange and La Poste share a vendor: a prefix with a server number, then a
 * three-digit cause ("OFR004_104", "LPN007_405"). SFR names the cause in the last digits of SFR_IN_x0N
 * and keeps every block for two hours. Free counts errors an address.
 */
import { atCount, fixedSilence, silence, slower, span, type ReplyRule } from "../replyRule.ts";

const vendor = "Orange postmaster page; Sisimai, French providers' cause codes";

type Shape = Omit<ReplyRule, "provider">;

/** The cause at the end of OFR_104, OFR004_104, LPN007_405, OUK_501. */
const cause = (codes: string) => new RegExp(`\\b(?:OFR|LPN|OUK|OOFR)\\d{0,3}[_-](?:${codes})\\b`);
const example = (code: number, enhanced: string | null, text: string) => ({ code, enhanced, text });

const shared: readonly Shape[] = [
  {
    name: "blocklisted-101",
    text: cause("101"),
    class: "DnsblBlock",
    fate: "Retry",
    retryAfterSeconds: 4 * span.hours,
    backoff: silence(4 * span.hours),
    source: vendor,
    example: example(421, null, "Service refused, your IP is listed by Spamhaus. OFR_101"),
  },
  {
    // Cloudmark's list, often as a 550 in the greeting: it goes away, so the mail is kept.
    name: "blocked-102",
    text: cause("102"),
    class: "ReputationBlock",
    fate: "Retry",
    retryAfterSeconds: 2 * span.hours,
    backoff: silence(2 * span.hours),
    source: `${vendor}; two hours: Momentum rules`,
    example: example(550, "5.7.1", "Service refused, please try later. OFR_102 [102]"),
  },
  {
    name: "throttled",
    text: cause("103|107|108|503|505|999"),
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: silence(30 * span.minutes),
    source: `${vendor}; half an hour: Momentum rules`,
    example: example(421, null, "Service refused, please try later. OFR_999 [999]"),
  },
  {
    name: "connections-104",
    text: cause("104"),
    class: "RateLimited",
    fate: "ByCode",
    backoff: slower(1 * span.hours),
    source: vendor,
    example: example(421, null, "Too many connections, slow down. OFR004_104 [104]"),
  },
  {
    name: "later",
    text: cause("105|109|201|423|424"),
    class: "Network",
    fate: "ByCode",
    retryAfterSeconds: 30 * span.minutes,
    source: vendor,
    example: example(450, "4.7.1", "Service unavailable, try again later. OFR_201 [201]"),
  },
  {
    name: "authentication",
    text: cause("305|401|402|501|517"),
    class: "AuthFailed",
    fate: "ByCode",
    source: vendor,
    example: example(550, "5.0.2", "DMARC: mail rejected. OFR_501 [501]"),
  },
  {
    // The MAIL FROM domain must resolve and take mail itself.
    name: "sender-domain",
    text: cause("403|405|415|421"),
    class: "AuthFailed",
    fate: "ByCode",
    source: vendor,
    example: example(450, "4.1.8", "Sender address rejected: domain does not accept mail. LPN007_405"),
  },
  {
    name: "unknown-416",
    text: cause("416"),
    class: "UnknownRecipient",
    fate: "ByCode",
    source: vendor,
    example: example(
      550,
      "5.1.1",
      "Adresse d au moins un destinataire invalide. Invalid recipient. OFR_416 [416]",
    ),
  },
  {
    // Said as 552 5.1.1, and yet not an unknown user.
    name: "over-quota-417",
    text: cause("417"),
    class: "MailboxFull",
    fate: "ByCode",
    source: vendor,
    example: example(552, "5.1.1", "Boite du destinataire pleine. Recipient overquota. OFR_417 [417]"),
  },
  {
    name: "inactive",
    text: cause("420|426"),
    class: "Inactive",
    fate: "ByCode",
    source: vendor,
    example: example(550, "5.5.0", "Boite du destinataire archivee. Archived recipient. OFR_420 [420]"),
  },
  {
    name: "content",
    text: cause("506|513"),
    class: "ContentRejected",
    fate: "ByCode",
    backoff: atCount(3, silence(2 * span.hours)),
    source: vendor,
    example: example(550, "5.2.0", "Mail rejete. Mail rejected. OFR_506 [506]"),
  },
  {
    name: "refused-510",
    text: cause("510"),
    class: "ReputationBlock",
    fate: "ByCode",
    source: vendor,
    example: example(550, "5.7.1", "Message refused for policy reasons. OFR_510 [510]"),
  },
  {
    name: "too-large-514",
    text: cause("514"),
    class: "TooLarge",
    fate: "ByCode",
    source: vendor,
    example: example(552, "5.3.4", "Taille limite du message atteinte. OFR_514 [514]"),
  },
  {
    name: "client-rejected-630",
    text: cause("630"),
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: silence(2 * span.hours),
    source: vendor,
    example: example(554, "5.7.1", "Client host rejected. LPN105_630"),
  },
];

const of = (provider: string): readonly ReplyRule[] =>
  shared.map((shape) => ({ ...shape, provider, name: `${provider}/${shape.name}` }));

const sfr = "SFR postmaster reports: every block lasts two hours";
const free = "Momentum rules and public reports on Free";

export const frenchRules: readonly ReplyRule[] = [
  ...of("orange"),
  ...of("laposte"),
  {
    name: "sfr/blocked-content",
    provider: "sfr",
    code: /^4\d\d$/,
    text: /\bSFR_IN_\d0[12]\b/,
    class: "ContentRejected",
    fate: "ByCode",
    backoff: fixedSilence(2 * span.hours),
    source: sfr,
    example: example(450, "4.7.1", "SFR_IN_101 Your server has been blocked because of spam"),
  },
  {
    name: "sfr/blocked-unknown",
    provider: "sfr",
    code: /^4\d\d$/,
    text: /\bSFR_IN_\d04\b/,
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: fixedSilence(2 * span.hours),
    source: `${sfr}; too many unknown users`,
    example: example(
      450,
      "4.7.1",
      "SFR_IN_204 Your server has been blocked because of too many unknown users",
    ),
  },
  {
    name: "sfr/blocked-volume",
    provider: "sfr",
    code: /^4\d\d$/,
    text: /\bSFR_IN_\d0[35]\b|\btoo many errors\b/i,
    class: "RateLimited",
    fate: "ByCode",
    backoff: fixedSilence(2 * span.hours),
    source: `${sfr}; protocol errors and volume`,
    example: example(421, "4.7.0", "Too many errors from your host"),
  },
  {
    name: "free/busy",
    provider: "free",
    code: /^4\d\d$/,
    text: /\bserver busy\b|\btoo many connections\b/i,
    class: "RateLimited",
    fate: "ByCode",
    backoff: slower(30 * span.minutes),
    source: free,
    example: example(421, null, "mx1-g20.free.fr: too many connections from your IP"),
  },
  {
    name: "free/spam-from-address",
    provider: "free",
    text: /\btoo many (?:spams?|errors) from your ip\b/i,
    class: "ReputationBlock",
    fate: "ByCode",
    backoff: silence(2 * span.hours),
    source: free,
    example: example(
      451,
      null,
      "too many errors from your ip (192.0.2.10), please visit http://postmaster.free.fr/",
    ),
  },
  {
    name: "free/content",
    provider: "free",
    code: /^5\d\d$/,
    text: /\b(?:spam|virus) detected\b/i,
    class: "ContentRejected",
    fate: "ByCode",
    source: free,
    example: example(550, null, "spam detected"),
  },
  {
    name: "free/inactive",
    provider: "free",
    code: /^5\d\d$/,
    text: /\b(?:blocked|disabled) (?:for|due to) inactivity\b/i,
    class: "Inactive",
    fate: "ByCode",
    source: free,
    example: example(550, "5.2.1", "This mailbox has been blocked due to inactivity"),
  },
];
