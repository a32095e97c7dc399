import * as fc from "fast-check";
import { expect, test } from "vitest";

import { rcptCommand, unsendable, xtext } from "./envelopeCommands.ts";
import { parseExtensions } from "./extensions.ts";

test.each([
  ["s@sender.test", true],
  ["", true],
  ['"a b"@sender.test', true],
  ['"a>b\\""@sender.test', true],
  ["é@sender.test", true],
  ["a b@sender.test", false],
  ["a>b@sender.test", false],
  ["a\r\nRSET@sender.test", false],
  ['"a\r\nb"@sender.test', false],
  ['"a"b"@sender.test', false],
  [`${"a".repeat(600)}@sender.test`, false],
])("%j can be written as a sender: %s", (address, can) => {
  expect(unsendable(address, "sender") === null).toBe(can);
});

test("the empty address is a sender and no recipient", () => {
  expect(unsendable("", "recipient")).toMatchObject({ kind: "replied", stage: "rcpt", reply: { code: 553 } });
});

test("no address, whatever it holds, makes a second command", () => {
  const nasty = fc.string({
    unit: fc.constantFrom("a", "@", ">", "<", " ", '"', "\\", "\r", "\n", "\0", "é"),
    maxLength: 20,
  });
  fc.assert(
    fc.property(nasty, (address) => {
      if (unsendable(address, "recipient") !== null) return;
      const command = rcptCommand({ address }, parseExtensions({ lines: [] }));
      expect(command.slice(0, -2)).not.toMatch(/[\r\n\0]/);
      expect(command).toBe(`RCPT TO:<${address}>\r\n`);
    }),
  );
});

test("xtext writes what RFC 3461 §4 lets stand and escapes the rest", () => {
  expect(xtext("a+b=c d é")).toBe("a+2Bb+3Dc+20d+20+C3+A9");
});

test("a reply to EHLO is read keyword by keyword, in any case, parameters and all", () => {
  const offered = parseExtensions({
    lines: [
      "250-mx STARTTLS is not offered here",
      "250-size 1000",
      "250-auth=PLAIN login",
      "250-Limits MAILMAX=20",
      "250 dsn",
    ],
  });

  expect(offered).toMatchObject({
    startTls: false,
    size: true,
    sizeLimitBytes: 1000,
    auth: new Set(["PLAIN", "LOGIN"]),
    mailMax: 20,
    dsn: true,
    pipelining: false,
  });
});

test.each(["250 SIZE", "250 SIZE 0", "250 SIZE lots", `250 SIZE ${"9".repeat(40)}`])(
  "%s sets no limit",
  (line) => {
    expect(parseExtensions({ lines: ["250-mx", line] })).toMatchObject({ size: true, sizeLimitBytes: null });
  },
);
