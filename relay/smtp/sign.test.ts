/** Judged by another implementation (mailauth, strict), and by the test vector of RFC 8463. */
import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from "node:crypto";

import * as fc from "fast-check";
import { dkimVerify } from "mailauth/lib/dkim/verify.js";
import { expect, test } from "vitest";

import { createBodyHash } from "./bodyHash.ts";
import { type SigningKey, signMessage } from "./sign.ts";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const ed25519 = generateKeyPairSync("ed25519");
const keys: readonly SigningKey[] = [
  { selector: "r2611", algorithm: "rsa-sha256", key: rsa.privateKey },
  { selector: "e2611", algorithm: "ed25519-sha256", key: ed25519.privateKey },
];
const records = new Map([
  ["r2611._domainkey.example.test", record("rsa", rsa.publicKey)],
  ["e2611._domainkey.example.test", record("ed25519", ed25519.publicKey)],
]);

function record(kind: "rsa" | "ed25519", key: KeyObject): string {
  const der = key.export({ format: "der", type: "spki" });
  // RFC 8463 §4.2: the raw 32 bytes; they end the structure.
  return `v=DKIM1; k=${kind}; p=${(kind === "rsa" ? der : der.subarray(-32)).toString("base64")}`;
}

async function sign(header: string, body: string, part: Partial<Parameters<typeof signMessage>[0]> = {}) {
  const hash = createBodyHash();
  hash.update(Buffer.from(body, "latin1"));
  const fields = await signMessage({
    header: Buffer.from(header, "latin1"),
    bodyHash: hash.digest(),
    domain: "example.test",
    keys,
    signedAt: Date.parse("2026-11-23T12:00:00Z"),
    ...part,
  });
  return fields.toString("latin1");
}

/** "pass" or the reason, per selector. */
async function verify(message: string, published = records): Promise<Record<string, string>> {
  const { results } = await dkimVerify(Buffer.from(message, "latin1"), {
    strict: true,
    curTime: new Date("2026-11-23T12:00:05Z"),
    resolver: async (name: string) => {
      const text = published.get(name);
      if (text === undefined) throw Object.assign(new Error("no such name"), { code: "ENOTFOUND" });
      return [[text]];
    },
  });
  return Object.fromEntries(
    results.map(({ selector, status }) => [
      selector,
      status.result === "pass" ? "pass" : `${status.result}: ${status.comment ?? ""}`,
    ]),
  );
}

const both = { r2611: "pass", e2611: "pass" };
const HEADER = [
  "From: Sender <sender@example.test>",
  "To: rcpt@inbox.test",
  "Subject: a longer",
  "\tfolded   subject ",
  "Date: Mon, 23 Nov 2026 12:00:00 +0000",
  "Message-ID: <1@example.test>",
  "MIME-Version: 1.0",
  "Content-Type: text/plain; charset=utf-8",
  "",
  "",
].join("\r\n");
const BODY = "Hello,  \r\n\r\nthis is it.\r\n\r\n";

test("both signatures of a message verify, as it came and after relaxed changes on the way", async () => {
  const signature = await sign(HEADER, BODY);

  expect(await verify(signature + HEADER + BODY)).toEqual(both);
  const changed = HEADER.replace("a longer\r\n\tfolded   subject ", "a longer folded subject").replace(
    "Subject:",
    "SUBJECT : ",
  );
  expect(await verify(`Received: from x\r\n${signature}${changed}Hello,\r\n\r\nthis  is it.\r\n`)).toEqual(
    both,
  );
});

test("whatever the header and the body, both signatures verify", async () => {
  const text = fc.array(
    fc.constantFrom(
      "a",
      "word",
      " ",
      "\t",
      "  ",
      "\xe9\xa0",
      ":",
      ";",
      "=",
      "\r\n ",
      "\r\n\t",
      "x".repeat(70),
    ),
    { maxLength: 12 },
  );
  const names = fc.constantFrom(
    "Subject",
    "to",
    "CC",
    "Reply-To",
    "X-Custom",
    "Received",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
    "References",
    "DKIM-Signature-X",
    "Feedback-ID",
    "content-type",
    "Resent-From",
    "Sender ",
    "date\t",
  );
  const field = fc.tuple(names, text).map(([name, parts]) => `${name}:${parts.join("")}`);
  const line = fc.array(fc.constantFrom("a", " ", "\t", "\xff", "text", ".", "=20", "-"), { maxLength: 8 });
  const body = fc
    .array(line, { maxLength: 6 })
    .map((lines) => lines.map((l) => `${l.join("")}\r\n`).join(""));

  await fc.assert(
    fc.asyncProperty(fc.array(field, { maxLength: 10 }), fc.nat(10), body, async (fields, at, body) => {
      const all = fields.toSpliced(Math.min(at, fields.length), 0, "From: sender@example.test");
      // A continuation line of white space only would end the header for some: no relay stores one.
      const header = `${all.join("\r\n")}\r\n`.replaceAll(/\r\n[ \t]+(?=\r\n)/g, "") + "\r\n";
      const signature = await sign(header, body);

      expect(await verify(signature + header + body)).toEqual(both);
      for (const line of signature.split("\r\n")) expect(line.length).toBeLessThanOrEqual(78);
    }),
    { numRuns: 150 },
  );
});

test.each([
  { because: "the body changed", change: (m: string) => m.replace("this is it", "this is not it") },
  { because: "text was appended", change: (m: string) => `${m}buy now\r\n` },
  { because: "the subject changed", change: (m: string) => m.replace("longer", "shorter") },
  { because: "a second From was put in front", change: (m: string) => `From: evil@example.test\r\n${m}` },
  { because: "a Cc was added", change: (m: string) => `Cc: all@example.test\r\n${m}` },
  {
    because: "a Reply-To was added",
    change: (m: string) => m.replace("\r\nTo:", "\r\nReply-To: evil@x.test\r\nTo:"),
  },
  { because: "a field was removed", change: (m: string) => m.replace("MIME-Version: 1.0\r\n", "") },
])("neither signature verifies when $because", async ({ change }) => {
  const message = change((await sign(HEADER, BODY)) + HEADER + BODY);

  const results = await verify(message);
  expect(Object.keys(results).toSorted()).toEqual(["e2611", "r2611"]);
  for (const result of Object.values(results)) expect(result).not.toBe("pass");
});

test("a key that is not the published one does not verify", async () => {
  const other = generateKeyPairSync("ed25519").privateKey;
  const signature = await sign(HEADER, BODY, {
    keys: [{ selector: "e2611", algorithm: "ed25519-sha256", key: other }],
  });

  expect((await verify(signature + HEADER + BODY))["e2611"]).not.toBe("pass");
});

test("of several fields of a name the last is hashed first, and all are covered", async () => {
  const header = HEADER.replace("To:", "List-Post: one\r\nList-Post: two\r\nTo:");
  const signature = await sign(header, BODY);

  expect(signature.match(/List-Post/g)?.length).toBe(4);
  expect(await verify(signature + header + BODY)).toEqual(both);
  const swapped = header.replace("one\r\nList-Post: two", "two\r\nList-Post: one");
  expect((await verify(signature + swapped + BODY))["r2611"]).not.toBe("pass");
});

test("an empty body is signed as such", async () => {
  expect(await verify((await sign(HEADER, "")) + HEADER)).toEqual(both);
});

test("the field reads as it should: tags, time, oversigned names, no l= and no x=", async () => {
  const signature = await sign(HEADER, BODY, { keys: keys.slice(1), domain: "Example.TEST" });

  expect(signature.replaceAll(/\r\n\t/g, "\n").replace(/b=[^;]+\r\n$/, "b=…")).toBe(
    [
      "DKIM-Signature: v=1; a=ed25519-sha256; c=relaxed/relaxed; d=example.test;",
      "s=e2611; t=1795435200;",
      "h=From:From:To:To:Cc:Subject:Subject:Date:Date:Reply-To:Message-ID:",
      "Message-ID:MIME-Version:MIME-Version:Content-Type:Content-Type;",
      `bh=${createHash("sha256").update("Hello,\r\n\r\nthis is it.\r\n").digest("base64")};`,
      "b=…",
    ].join("\n"),
  );
});

test("long names of domains and selectors fold, and stay far below 998", async () => {
  const domain = `${"d".repeat(63)}.${"e".repeat(63)}.${"f".repeat(63)}.example.test`;
  const published = new Map([[`${"s".repeat(63)}._domainkey.${domain}`, record("rsa", rsa.publicKey)]]);
  const signature = await sign(HEADER, BODY, {
    domain,
    keys: [{ selector: "s".repeat(63), algorithm: "rsa-sha256", key: rsa.privateKey }],
  });

  expect(await verify(signature + HEADER + BODY, published)).toEqual({ ["s".repeat(63)]: "pass" });
  for (const line of signature.split("\r\n")) expect(line.length).toBeLessThanOrEqual(300);
});

test("without keys there is no signature; without From there must be none", async () => {
  expect(await sign(HEADER, BODY, { keys: [] })).toBe("");
  await expect(sign("To: x@inbox.test\r\n\r\n", BODY)).rejects.toThrow(/without a From/);
});

test("a key of the wrong type is a clear error", async () => {
  const wrong = [{ selector: "x", algorithm: "ed25519-sha256", key: rsa.privateKey }] as const;

  await expect(sign(HEADER, BODY, { keys: wrong })).rejects.toThrow(
    /Cannot sign with ed25519.*is of type rsa/,
  );
});

test("the keys of RFC 8463 appendix A sign so that its published records verify", async () => {
  // A.2: the secret key, as the seed of a PKCS#8 structure; A.1: the public record.
  const seed = Buffer.from("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=", "base64");
  const key = createPrivateKey({
    key: Buffer.concat([Buffer.from("302e020100300506032b657004220420", "hex"), seed]),
    format: "der",
    type: "pkcs8",
  });
  const body = "Hi.\r\n\r\nWe lost the game.  Are you hungry yet?\r\n\r\nJoe.\r\n";
  const header = [
    "From: Joe SixPack <joe@football.example.com>",
    "To: Suzie Q <suzie@shopping.example.net>",
    "Subject: Is dinner ready?",
    "Date: Fri, 11 Jul 2003 21:00:37 -0700 (PDT)",
    "Message-ID: <20030712040037.46341.5F8J@football.example.com>",
    "",
    "",
  ].join("\r\n");
  const signature = await sign(header, body, {
    domain: "football.example.com",
    keys: [{ selector: "brisbane", algorithm: "ed25519-sha256", key }],
  });

  // A.3: the body hash.
  expect(signature).toContain("bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=");
  const published = new Map([
    [
      "brisbane._domainkey.football.example.com",
      "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    ],
  ]);
  expect(await verify(signature + header + body, published)).toEqual({ brisbane: "pass" });
  expect(createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32).toString("base64")).toBe(
    "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
  );
});
