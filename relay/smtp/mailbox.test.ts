import { expect, test } from "vitest";

import { parseMailbox, readDomain } from "./mailbox.ts";

const a64 = "a".repeat(64);

test.each([
  ["alice@example.com", "alice@example.com", "the plain case"],
  ["Alice.O'Neil+tag@Example.COM", "Alice.O'Neil+tag@example.com", "case is the domain's to lose"],
  ['"a b@c"@example.com', '"a b@c"@example.com', "quoted local parts hold nearly anything"],
  ['"a\\"b"@example.com', '"a\\"b"@example.com', "also a quoted quote"],
  ["user%other.example@example.com", "user%other.example@example.com", "the percent hack is a name here"],
  ["host!user@example.com", "host!user@example.com", "so is a bang path"],
  ["a@bücher.example", "a@xn--bcher-kva.example", "a domain is kept in A-labels"],
  ["a@XN--BCHER-KVA.example", "a@xn--bcher-kva.example", "whichever way it came"],
  ["a@[192.0.2.7]", "a@[192.0.2.7]", "an IPv4 literal"],
  ["a@[IPv6:2001:DB8::1]", "a@[IPv6:2001:db8::1]", "an IPv6 literal"],
  ["用户@example.com", "用户@example.com", "RFC 6531 local parts"],
  [`${a64}@example.com`, `${a64}@example.com`, "64 octets are the longest local part"],
  ["a@localhost", "a@localhost", "single labels are the resolver's affair"],
])("%s is kept as %s: %s", (text, address) => {
  expect(parseMailbox(text)).toMatchObject({ ok: true, mailbox: { address } });
});

test.each([
  ["alice", "has no domain"],
  ["alice@", "has no domain"],
  ["@example.com", "has a source route"],
  ["@a.example,@b.example:alice@example.com", "has a source route"],
  ["alice bob@example.com", "has a malformed local part"],
  [".alice@example.com", "has a malformed local part"],
  ["alice.@example.com", "has a malformed local part"],
  ["a..b@example.com", "has a malformed local part"],
  ["a@b@example.com", "has a malformed local part"],
  ['"a"b@example.com', "has a malformed local part"],
  ['"a\nb"@example.com', "has a malformed local part"],
  ["a<b@example.com", "has a malformed local part"],
  ["a\u200bb@example.com", "has a malformed local part"],
  [`${a64}a@example.com`, "has a malformed local part"],
  ["a@example..com", "has a malformed domain"],
  ["a@.example.com", "has a malformed domain"],
  ["a@example.com.", "has a malformed domain"],
  ["a@-example.com", "has a malformed domain"],
  ["a@exa_mple.com", "has a malformed domain"],
  ["a@exam%70le.com", "has a malformed domain"],
  ["a@ex\u00e4m%70le.com", "has a malformed domain"],
  ["a@192.0.2.7", "has a malformed domain"],
  ["a@0x7f.1", "has a malformed domain"],
  ["a@example.0x7f", "has a malformed domain"],
  ["a@[192.0.2.256]", "has a malformed domain"],
  ["a@[::1]", "has a malformed domain"],
  ["a@[IPv6:fe80::1%eth0]", "has a malformed domain"],
  ["a@[x:y]", "has a malformed domain"],
  [`a@${"b".repeat(64)}.example`, "has a malformed domain"],
  [`a@${"b.".repeat(130)}example`, "is longer than 254 bytes"],
])("%s %s", (text, reason) => {
  expect(parseMailbox(text)).toEqual({ ok: false, reason });
});

test("only the local part asks for SMTPUTF8", () => {
  expect(parseMailbox("a@bücher.example")).toMatchObject({ mailbox: { isUtf8: false } });
  expect(parseMailbox("ä@example.com")).toMatchObject({ mailbox: { isUtf8: true } });
});

test("a domain that becomes too long as A-labels is none", () => {
  expect(readDomain(`${"ü".repeat(60)}.example`)).toBeUndefined();
});
