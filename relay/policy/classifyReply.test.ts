import { expect, test } from "vitest";

import type { SmtpStage } from "../message.ts";
import { classifyReply, isGreylisted, speaksOfRecipient } from "./classifyReply.ts";
import { enhancedClasses, textClasses } from "./enhancedCodes.ts";
import { providers } from "./providers.ts";
import { replyRules } from "./replyRules.ts";

const given = (line: string) => {
  const [, code = "0", enhanced, text = ""] = /^(\d{3})(?: (\d\.\d{1,3}\.\d{1,3}))? ?(.*)$/.exec(line) ?? [];
  return { code: Number(code), enhanced: enhanced ?? null, text };
};

/** provider, stage, reply, rule, class, fate, and why the row is here. */
const corpus: readonly (readonly [string, SmtpStage, string, string, string, "Retry" | "Fail", string])[] = [
  [
    "google",
    "content",
    "421 4.7.28 Gmail has detected an unusual rate of unsolicited mail originating from your SPF domain [example.test].",
    "google/rate-4.7.28",
    "RateLimited",
    "Retry",
    "published procedure",
  ],
  [
    "google",
    "content",
    "550 5.7.28 unusual rate of unsolicited mail",
    "google/rate-5.7.28",
    "ReputationBlock",
    "Fail",
    "same, as a failure",
  ],
  [
    "google",
    "content",
    "550 5.7.1 Our system has detected that this message is likely unsolicited mail.",
    "google/low-reputation-5xx",
    "ReputationBlock",
    "Fail",
    "5.7.1 is never the recipient's fault",
  ],
  [
    "google",
    "content",
    "550 5.7.26 This mail has been blocked because the sender is unauthenticated.",
    "google/unauthenticated",
    "AuthFailed",
    "Fail",
    "",
  ],
  [
    "google",
    "content",
    "550 5.7.27 SPF did not pass",
    "google/spf",
    "AuthFailed",
    "Fail",
    "registry: null MX",
  ],
  [
    "google",
    "content",
    "421 4.7.29 not sent over a TLS connection",
    "google/tls-required",
    "AuthFailed",
    "Retry",
    "registry: ARC",
  ],
  [
    "google",
    "content",
    "550 5.7.30 DKIM did not pass",
    "google/dkim",
    "AuthFailed",
    "Fail",
    "registry: REQUIRETLS",
  ],
  ["google", "content", "421 4.7.31 no DMARC", "google/no-dmarc", "AuthFailed", "Retry", "number of the FAQ"],
  [
    "google",
    "content",
    "550 5.7.40 no DMARC",
    "google/no-dmarc",
    "AuthFailed",
    "Fail",
    "number of the error page",
  ],
  [
    "google",
    "content",
    "421 5.7.32 From: header isn't aligned",
    "google/alignment",
    "AuthFailed",
    "Retry",
    "the reply code decides, not the enhanced one",
  ],
  [
    "google",
    "rcpt",
    "550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages from being delivered.",
    "google/recipient-rate",
    "RateLimited",
    "Retry",
    "a 550 that is temporary",
  ],
  [
    "google",
    "rcpt",
    "550 5.2.1 The email account that you tried to reach is inactive.",
    "enhanced/x.2.1",
    "Inactive",
    "Fail",
    "same code, other meaning",
  ],
  [
    "google",
    "rcpt",
    "452 4.2.2 The recipient's inbox is out of storage space.",
    "google/over-quota",
    "MailboxFull",
    "Retry",
    "",
  ],
  [
    "google",
    "rcpt",
    "552 5.2.2 The email account that you tried to reach is over quota.",
    "enhanced/x.2.2",
    "MailboxFull",
    "Fail",
    "",
  ],
  [
    "google",
    "rcpt",
    "550 5.1.1 The email account that you tried to reach does not exist.",
    "enhanced/x.1.1",
    "UnknownRecipient",
    "Fail",
    "",
  ],
  [
    "google",
    "content",
    "552 5.3.4 Your message exceeded Google's message size limits.",
    "enhanced/x.3.4",
    "TooLarge",
    "Fail",
    "",
  ],
  [
    "google",
    "content",
    "451 4.3.0 Mail server temporarily rejected message.",
    "enhanced/x.3.0",
    "Network",
    "Retry",
    "",
  ],
  [
    "yahoo",
    "mail",
    "421 4.7.0 [TSS04] Messages from 192.0.2.10 temporarily deferred due to unexpected volume or user complaints - 4.16.55.1",
    "yahoo/complaints",
    "RateLimited",
    "Retry",
    "",
  ],
  [
    "yahoo",
    "greeting",
    "553 5.7.1 [BL21] Connections will not be accepted from 192.0.2.10",
    "yahoo/blocklisted",
    "DnsblBlock",
    "Retry",
    "listings end: the mail is kept",
  ],
  [
    "yahoo",
    "content",
    "553 5.7.2 [TSS09] All messages from 192.0.2.10 will be permanently deferred",
    "yahoo/permanent-block",
    "ReputationBlock",
    "Fail",
    "",
  ],
  [
    "yahoo",
    "content",
    "421 4.7.1 [TS03] All messages from 192.0.2.10 will be permanently deferred",
    "yahoo/all-messages-deferred",
    "ReputationBlock",
    "Retry",
    "a block in the clothes of a 4xx",
  ],
  [
    "yahoo",
    "rcpt",
    "554 delivery error: dd This user doesn't have a yahoo.com account (someone@yahoo.com) [0]",
    "yahoo/unknown",
    "UnknownRecipient",
    "Fail",
    "",
  ],
  [
    "yahoo",
    "rcpt",
    "554 delivery error: dd Sorry your message cannot be delivered. This mailbox is disabled (554.30).",
    "yahoo/disabled",
    "Inactive",
    "Fail",
    "before the general dd",
  ],
  [
    "microsoft",
    "mail",
    "550 5.7.1 Unfortunately, messages from [192.0.2.10] weren't sent. part of their network is on our block list (S3150).",
    "microsoft/blocked-list",
    "ReputationBlock",
    "Fail",
    "",
  ],
  [
    "microsoft",
    "mail",
    "421 RP-001 Unfortunately, some messages weren't sent",
    "microsoft/rate-rp",
    "RateLimited",
    "Retry",
    "",
  ],
  [
    "office365",
    "mail",
    "451 4.7.650 The mail server [192.0.2.10] has been temporarily rate limited due to IP reputation. (S775)",
    "office365/reputation-limit",
    "RateLimited",
    "Retry",
    "",
  ],
  [
    "office365",
    "mail",
    "451 4.7.500 Server busy. Please try again later from [192.0.2.10].",
    "office365/busy",
    "RateLimited",
    "Retry",
    "before the range 4.7.500–699",
  ],
  [
    "office365",
    "mail",
    "550 5.7.606 Access denied, banned sending IP [192.0.2.10].",
    "office365/banned",
    "ReputationBlock",
    "Fail",
    "",
  ],
  [
    "office365",
    "content",
    "554 5.2.122 recipient rate limit exceeded",
    "office365/recipient-rate",
    "RateLimited",
    "Retry",
    "temporary in spite of 554",
  ],
  [
    "office365",
    "content",
    "550 5.1.10 RESOLVER.ADR.RecipientNotFound",
    "office365/unknown",
    "UnknownRecipient",
    "Fail",
    "registry: null MX",
  ],
  [
    "office365",
    "rcpt",
    "550 5.4.1 Recipient address rejected: Access denied. AS(201806281)",
    "office365/directory-edge-block",
    "UnknownRecipient",
    "Fail",
    "",
  ],
  [
    "microsoft",
    "content",
    "550 5.7.515 Access denied, sending domain example.test does not meet the required authentication level.",
    "microsoft/bulk-authentication",
    "AuthFailed",
    "Fail",
    "",
  ],
  [
    "apple",
    "content",
    "554 5.7.1 [CS01] Message rejected due to local policy.",
    "apple/local-policy",
    "ReputationBlock",
    "Fail",
    "",
  ],
  [
    "apple",
    "content",
    "554 5.7.1 [HME1] This message was blocked for failing both SPF and DKIM",
    "apple/authentication",
    "AuthFailed",
    "Fail",
    "",
  ],
  [
    "orange",
    "greeting",
    "550 5.7.1 Service refused, please try later. OFR_102 [102]",
    "orange/blocked-102",
    "ReputationBlock",
    "Retry",
    "a 550 that goes away",
  ],
  [
    "orange",
    "greeting",
    "421 Too many connections, slow down. OFR004_104 [104]",
    "orange/connections-104",
    "RateLimited",
    "Retry",
    "with a server number",
  ],
  [
    "orange",
    "rcpt",
    "550 5.1.1 Adresse d au moins un destinataire invalide. OFR_416 [416]",
    "orange/unknown-416",
    "UnknownRecipient",
    "Fail",
    "",
  ],
  [
    "orange",
    "rcpt",
    "552 5.1.1 Boite du destinataire pleine. OFR_417 [417]",
    "orange/over-quota-417",
    "MailboxFull",
    "Fail",
    "5.1.1 and yet not unknown",
  ],
  [
    "laposte",
    "mail",
    "450 4.1.8 Sender address rejected. LPN007_405",
    "laposte/sender-domain",
    "AuthFailed",
    "Retry",
    "",
  ],
  [
    "sfr",
    "mail",
    "450 4.7.1 SFR_IN_204 too many unknown users",
    "sfr/blocked-unknown",
    "ReputationBlock",
    "Retry",
    "",
  ],
  [
    "free",
    "mail",
    "451 too many errors from your ip (192.0.2.10)",
    "free/spam-from-address",
    "ReputationBlock",
    "Retry",
    "",
  ],
  ["free", "content", "550 spam detected", "free/content", "ContentRejected", "Fail", ""],
  [
    "other",
    "rcpt",
    "452 4.5.3 Too many recipients",
    "any/too-many-recipients",
    "TooManyRecipients",
    "Retry",
    "",
  ],
  [
    "other",
    "rcpt",
    "552 Too many recipients",
    "any/too-many-recipients",
    "TooManyRecipients",
    "Retry",
    "RFC 5321 §4.5.3.1.10: 552 as 452",
  ],
  [
    "other",
    "rcpt",
    "450 4.2.0 Greylisted, see http://postgrey.schweikert.ch/help/example.test.html",
    "any/greylist",
    "Greylist",
    "Retry",
    "postgrey",
  ],
  ["other", "rcpt", "451 4.7.1 Try again later", "any/greylist-4.7.1", "Greylist", "Retry", "rspamd"],
  [
    "other",
    "content",
    "451 4.7.1 Try again later",
    "enhanced/x.7.1",
    "ReputationBlock",
    "Retry",
    "after DATA it is no greylisting",
  ],
  [
    "other",
    "rcpt",
    "450 4.7.1 Error: too many connections, try again later",
    "any/connections",
    "RateLimited",
    "Retry",
    "a rate limit is not greylisting",
  ],
  [
    "other",
    "mail",
    "554 5.7.1 Service unavailable; Client host [192.0.2.10] blocked using zen.spamhaus.org",
    "any/dnsbl",
    "DnsblBlock",
    "Retry",
    "listings end",
  ],
  [
    "other",
    "content",
    "554 5.7.1 Message contains URL listed at dbl.spamhaus.org",
    "any/url-blocklist",
    "ContentRejected",
    "Fail",
    "the content's fault",
  ],
  ["other", "rcpt", "556 Domain does not accept mail", "any/no-mail-here", "BadDomain", "Fail", "RFC 7504"],
  [
    "other",
    "rcpt",
    "550 5.7.1 Recipient unknown to our policy: no such user",
    "enhanced/x.7.1",
    "ReputationBlock",
    "Fail",
    "5.7.1 never marks the recipient, whatever the words",
  ],
  ["other", "rcpt", "550 5.7.1 relaying denied", "text/relay-denied", "RelayDenied", "Fail", ""],
  ["other", "rcpt", "550 5.1.10 null MX", "enhanced/x.1.10", "BadDomain", "Fail", "the registry's meaning"],
  [
    "other",
    "rcpt",
    "550 No such user here",
    "text/unknown-user",
    "UnknownRecipient",
    "Fail",
    "no enhanced code",
  ],
  ["other", "rcpt", "450 mailbox full", "text/mailbox-full", "MailboxFull", "Retry", ""],
  ["other", "rcpt", "550 hmm", "generic/5xx", "Undetermined", "Fail", "an unknown 5xx bounces"],
  ["other", "rcpt", "450 hmm", "generic/4xx", "Undetermined", "Retry", "an unknown 4xx defers"],
  ["other", "mail", "421 closing", "generic/421", "Network", "Retry", ""],
  [
    "other",
    "greeting",
    "554 5.7.1 no mail from you",
    "enhanced/x.7.1",
    "ReputationBlock",
    "Retry",
    "before the envelope nothing fails",
  ],
  ["other", "rcpt", "251 will forward", "generic/odd-code", "Protocol", "Retry", "no refusal at all"],
];

test.each(corpus)("%s, at %s: %s → %s", (provider, stage, line, rule, replyClass, fate) => {
  expect(classifyReply(given(line), provider, stage)).toMatchObject({ rule, class: replyClass, fate });
});

test("no 5.7.x, whoever says it and with whatever words, marks the recipient", () => {
  const words = [
    "no such user",
    "mailbox full",
    "account disabled",
    "User unknown or inactive",
    "mailbox not found",
    "OFR_416",
    "",
  ];
  const marked: string[] = [];
  for (const provider of [...providers.map(({ name }) => name), "other"]) {
    for (const detail of Object.keys(enhancedClasses).filter((key) => key.startsWith("7."))) {
      // X.7.13, X.7.17 and X.7.18 speak of the mailbox by their definition (RFC 5248, RFC 7293).
      if (["7.13", "7.17", "7.18"].includes(detail)) continue;
      for (const text of words) {
        const found = classifyReply({ code: 550, enhanced: `5.${detail}`, text }, provider, "rcpt");
        if (speaksOfRecipient(found.class)) marked.push(`${provider} 5.${detail} ${text}: ${found.rule}`);
      }
    }
  }
  expect(marked).toEqual([]);
});

test("every rule is the first to match its own example", () => {
  const missed = replyRules.flatMap((rule) => {
    const provider = rule.provider === "any" ? "other" : rule.provider;
    const found = classifyReply(rule.example, provider, rule.stages?.[0] ?? "content").rule;
    return found === rule.name ? [] : [`${rule.name}: its example is taken by ${found}`];
  });
  expect(missed).toEqual([]);
});

test("rules have unique names under their provider, a source, and a match", () => {
  const names = replyRules.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  const known = new Set(["any", ...providers.map(({ name }) => name)]);
  for (const rule of replyRules) {
    expect(known).toContain(rule.provider);
    expect(rule.name).toMatch(new RegExp(`^${rule.provider}/[a-z0-9.-]+$`));
    expect(rule.source).not.toBe("");
    expect(rule.text ?? rule.enhanced ?? rule.code).toBeDefined();
    expect(rule.backoff?.seconds ?? 60).toBeGreaterThanOrEqual(60);
  }
});

test("patterns cost little whatever a peer writes: codes are anchored, repetition is bounded", () => {
  const codes = replyRules.flatMap(({ name, code, enhanced }) =>
    [code, enhanced].flatMap((pattern) => (pattern === undefined ? [] : [{ name, pattern }])),
  );
  for (const { name, pattern } of codes) {
    expect([name, /^\^.*\$$/.test(pattern.source)]).toEqual([name, true]);
  }
  const texts = [...replyRules, ...textClasses].flatMap(({ name, text }) =>
    text === undefined ? [] : [{ name, text }],
  );
  for (const { name, text } of texts) {
    const bare = text.source.replaceAll(/\\./g, "").replaceAll(/\[[^\]]*\]/g, "");
    expect([name, /[*+]|\{\d+,\}/.test(bare)]).toEqual([name, false]);
    expect([name, text.global || text.sticky]).toEqual([name, false]);
  }
});

test("greylisting is remembered by the name of its rule", () => {
  expect(isGreylisted("any/greylist")).toBe(true);
  expect(isGreylisted("any/greylist-4.7.1")).toBe(true);
  expect(isGreylisted("any/rate")).toBe(false);
  expect(isGreylisted("a rule of an older version")).toBe(false);
});
