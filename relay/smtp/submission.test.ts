import { expect, test } from "vitest";

import type { Credential } from "../contract/config.ts";
import { type Mailbox, parseMailbox } from "./mailbox.ts";
import { judgeAuthors, judgeSender, sendingDomains, type Submitter } from "./submission.ts";

const domains = sendingDomains([
  { domain: "example.com", state: "Active", reason: "", dkim: [] },
  { domain: "Crm.example.com", state: "Active", reason: "", dkim: [] },
  { domain: "held.example", state: "Held", reason: "the DKIM record is missing", dkim: [] },
]);
const credential = (...own: string[]): Credential => ({
  name: "app",
  username: "app",
  passwordHash: "",
  domains: own,
});
const app = { credential: credential("example.com", "held.example") };
const anyDomain = { credential: credential() };
const trusted = { credential: null };

function mailbox(address: string): Mailbox {
  const parsed = parseMailbox(address);
  if (!parsed.ok) throw new Error(parsed.reason);
  return parsed.mailbox;
}

const cases: readonly [Submitter, string, string | undefined, string][] = [
  [app, "a@example.com", undefined, "its own domain"],
  [anyDomain, "a@CRM.example.com", undefined, "no domains named means all of the relay's"],
  [trusted, "a@example.com", undefined, "a trusted network sends for the relay's domains"],
  [app, "a@crm.example.com", "550 5.7.1", "a domain of the relay, not of the credential"],
  [app, "a@sub.example.com", "553 5.7.1", "a subdomain is another domain"],
  [app, "a@example.org", "553 5.7.1", "a stranger's domain"],
  [anyDomain, "a@example.org", "553 5.7.1", "all domains are not all the world's"],
  [trusted, "a@example.org", "553 5.7.1", "trust in a network is not trust in a sender"],
  [trusted, "a@[192.0.2.1]", "553 5.1.7", "a literal is no domain"],
  [app, "a@held.example", "451 4.7.1", "a held domain waits"],
];
test.each(cases)("%j may or may not send from %s: %s, %s", (submitter, address, expected) => {
  const why = judgeSender(domains, submitter, mailbox(address));

  expect(why && `${why.code} ${why.enhanced}`).toBe(expected);
});

test("the null sender is nobody's", () => {
  expect(judgeSender(domains, trusted, null)).toMatchObject({ code: 550, enhanced: "5.7.1" });
});

test("one foreign author among several is enough to refuse, and the text names him", () => {
  const authors = [mailbox("a@example.com"), mailbox("ceo@bank.example")];

  expect(judgeAuthors(domains, app, authors)).toEqual({
    code: 550,
    enhanced: "5.7.1",
    text: "The domain bank.example of the From field is not one this relay sends for",
  });
  expect(judgeAuthors(domains, app, authors.slice(0, 1))).toBeUndefined();
});

test("the reason of a held domain reaches the client", () => {
  expect(judgeSender(domains, app, mailbox("a@held.example"))?.text).toBe(
    "Mail from held.example is held: the DKIM record is missing",
  );
});
