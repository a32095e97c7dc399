import { expect, test } from "vitest";

import { seededRandom } from "../../test/support/seededRandom.ts";
import { hashPassword, hashPasswordWith, parsePasswordHash, verifyPassword } from "./passwordHash.ts";

function parsed(text: string) {
  const hash = parsePasswordHash(text);
  if (hash === undefined) throw new Error(`${text} was not read`);
  return hash;
}

test("a hashed password is found again, another one is not", async () => {
  const text = await hashPassword("correct horse", seededRandom());

  expect(text).toMatch(/^\$scrypt\$ln=14,r=8,p=1\$[^$=]+\$[^$=]+$/);
  expect(await verifyPassword("correct horse", parsed(text))).toBe(true);
  expect(await verifyPassword("correct horsE", parsed(text))).toBe(false);
  expect(await verifyPassword("", parsed(text))).toBe(false);
});

test("the same salt gives the same text, a drawn one another text each time", async () => {
  const salt = new Uint8Array(16).fill(7);
  const random = seededRandom(3);

  expect(await hashPasswordWith("p", salt)).toBe(await hashPasswordWith("p", salt));
  expect(await hashPassword("p", random)).not.toBe(await hashPassword("p", random));
});

test("the test vector of RFC 7914 §12 verifies, with base64 padding and foreign parameters", async () => {
  const hash = Buffer.from(
    "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2d5432955613f0fcf62d49705242a9af9e61e85dc0d651e40dfcf017b45575887",
    "hex",
  ).toString("base64");
  const salt = Buffer.from("SodiumChloride").toString("base64");

  expect(await verifyPassword("pleaseletmein", parsed(`$scrypt$ln=14,r=8,p=1$${salt}$${hash}`))).toBe(true);
});

test.each([
  ["", "empty"],
  ["secret", "plain text"],
  ["$2b$12$abcdefghijklmnopqrstuv", "another algorithm"],
  ["$scrypt$ln=20,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g", "a gibibyte a login"],
  ["$scrypt$ln=14,r=8,p=64$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g", "a second a login"],
  ["$scrypt$ln=0,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaGhhc2hoYXNoaGFzaGhhc2g", "no cost at all"],
  ["$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0$short", "a hash too short to mean anything"],
])("%s is refused: %s", (text) => {
  expect(parsePasswordHash(text)).toBeUndefined();
});
