import { expect, test } from "vitest";

import { parseFrom } from "./fromField.ts";

test.each([
  ["alice@example.com", ["alice@example.com"]],
  ["Alice <alice@example.com>", ["alice@example.com"]],
  ['"Alice, of \\"Example\\"" <alice@Example.com>', ["alice@example.com"]],
  ["<alice@example.com> (at (home) today)", ["alice@example.com"]],
  ["alice(work)@example.com", ["alice@example.com"]],
  ["A <a@example.com>, b@example.org", ["a@example.com", "b@example.org"]],
  ["Authors: a@example.com, B <b@example.org>;", ["a@example.com", "b@example.org"]],
  ["=?utf-8?q?J=C3=BCrgen?= <j@example.com>", ["j@example.com"]],
  ["Jürgen <j@bücher.example>", ["j@xn--bcher-kva.example"]],
  ["ceo@bank.example <a@example.com>", ["a@example.com"]],
  ['"a b"@example.com', ['"a b"@example.com']],
  ["A. B. Smith <a.b@example.com>", ["a.b@example.com"]],
])("%s is from %j", (value, addresses) => {
  const parsed = parseFrom(value);

  expect(parsed.ok ? parsed.mailboxes.map((mailbox) => mailbox.address) : parsed.reason).toEqual(addresses);
});

test.each([
  ["", "has no mailbox"],
  ["undisclosed-recipients:;", "has no mailbox"],
  ["Alice", "has an address that has no domain"],
  ["a b@example.com", "is not a list of mailboxes"],
  ["<a@example.com> <b@example.org>", "is not a list of mailboxes"],
  ["<a@example.com> b@example.org", "is not a list of mailboxes"],
  ["a@example.com>", "is not a list of mailboxes"],
  ["<<a@example.com>>", "is not a list of mailboxes"],
  ['"a <a@example.com>', "has an unfinished comment, quote or bracket"],
  ["(a <a@example.com>", "has an unfinished comment, quote or bracket"],
  ["(".repeat(50) + ")".repeat(50) + " a@example.com", "has an unfinished comment, quote or bracket"],
  ["<@evil.example:a@example.com>", "has an address that has a source route"],
  ["ceo@bank.example: a@example.com;", "has an address that has a malformed local part"],
  ["a@example.com@evil.example", "has an address that has a malformed local part"],
  [Array.from({ length: 21 }, () => "a@example.com").join(","), "has more than 20 mailboxes"],
])("%s %s", (value, reason) => {
  expect(parseFrom(value)).toEqual({ ok: false, reason });
});
