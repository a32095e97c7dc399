/**
 * Rules for every provider, asked after the provider's own: words that mean the same wherever they come
 * from. Rate limits are asked before greylisting, because both say "try again".
 */
import { atCount, silence, slower, span, type ReplyRule } from "../replyRule.ts";

const provider = "any";
const example = (code: number, enhanced: string | null, text: string) => ({ code, enhanced, text });

export const anyRules: readonly ReplyRule[] = [
  {
    // RFC 5321 §4.5.3.1.10: 452, and 552 from old servers, mean "send the rest in another transaction".
    name: "any/too-many-recipients",
    provider,
    code: /^[45]52$/,
    text: /\btoo many recipients\b/i,
    stages: ["rcpt"],
    class: "TooManyRecipients",
    fate: "Retry",
    source: "RFC 5321 §4.5.3.1.10",
    example: example(552, "5.5.3", "Too many recipients"),
  },
  {
    name: "any/too-many-recipients-x.5.3",
    provider,
    enhanced: /^[45]\.5\.3$/,
    stages: ["rcpt"],
    class: "TooManyRecipients",
    fate: "Retry",
    source: "RFC 3463 §3.6, X.5.3",
    example: example(452, "4.5.3", "Limit reached"),
  },
  {
    name: "any/url-blocklist",
    provider,
    code: /^5\d\d$/,
    text: /\b(?:dbl\.spamhaus|uribl|surbl)\b/i,
    class: "ContentRejected",
    fate: "Fail",
    source: "list names: a name inside the message is listed, not our address",
    example: example(554, "5.7.1", "Message contains a URL listed in dbl.spamhaus.org"),
  },
  {
    // ZoneMTA defers these: a listing ends, the mail was good.
    name: "any/dnsbl",
    provider,
    code: /^5\d\d$/,
    text: /\b(?:spamhaus|spamcop|barracudacentral|cloudmark|abusix|invaluement|sorbs)\b/i,
    class: "DnsblBlock",
    fate: "Retry",
    retryAfterSeconds: 4 * span.hours,
    backoff: atCount(3, silence(1 * span.hours)),
    source: "ZoneMTA bounces.txt, list names",
    example: example(
      554,
      "5.7.1",
      "Service unavailable; Client host [192.0.2.10] blocked using zen.spamhaus.org",
    ),
  },
  {
    name: "any/connections",
    provider,
    code: /^4\d\d$/,
    text: /\btoo many (?:concurrent |simultaneous )?(?:connections|sessions)\b/i,
    class: "RateLimited",
    fate: "ByCode",
    backoff: slower(10 * span.minutes),
    source: "common server texts",
    example: example(421, "4.7.0", "mx.example.org Error: too many connections from 192.0.2.10"),
  },
  {
    name: "any/rate",
    provider,
    code: /^4\d\d$/,
    text: /\brate[ -]?limit|\btoo (?:many messages|much mail|fast|quickly)\b|\bthrottl|\bexceeded (?:the|your) (?:rate|limit)\b/i,
    class: "RateLimited",
    fate: "ByCode",
    backoff: atCount(2, slower(15 * span.minutes)),
    source: "common server texts",
    example: example(450, "4.7.1", "Error: too much mail from 192.0.2.10"),
  },
  {
    name: "any/greylist",
    provider,
    code: /^4\d\d$/,
    text: /\bgr[ae]y-?list|\bgr[ae]y list|\bcome back later\b|\bfirst contact\b/i,
    class: "Greylist",
    fate: "Retry",
    source: "RFC 6647; postgrey, rspamd, milter-greylist texts",
    example: example(451, "4.7.1", "Greylisting in action, please come back later"),
  },
  {
    // Exim and Postfix policy servers without the word: 450/451 4.7.1 at RCPT asks to return.
    name: "any/greylist-4.7.1",
    provider,
    code: /^45[01]$/,
    enhanced: /^4\.7\.1$/,
    text: /\b(?:try again|retry|temporarily rejected|temporary (?:reject|defer))/i,
    stages: ["rcpt"],
    class: "Greylist",
    fate: "Retry",
    source: "RFC 6647 §2.1: temporary refusal of an unknown (address, sender, recipient)",
    example: example(450, "4.7.1", "Recipient address rejected: Please try again in 5 minutes"),
  },
  {
    // RFC 7504: 521 the host, 556 the domain takes no mail.
    name: "any/no-mail-here",
    provider,
    code: /^5(?:21|56)$/,
    class: "BadDomain",
    fate: "ByCode",
    source: "RFC 7504 §3",
    example: example(556, null, "Domain does not accept mail"),
  },
];
