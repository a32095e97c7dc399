import { expect, test } from "vitest";

import { parsePasswordHash, verifyPassword } from "../../relay/kit/passwordHash.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { createPasswordHasher } from "./passwords.ts";

const fits = async (password: string, hash: string) => {
  const parsed = parsePasswordHash(hash);
  return parsed !== undefined && (await verifyPassword(password, parsed));
};

test("a password without a hash gets one that fits", async () => {
  const lookup = await createPasswordHasher(seededRandom(1)).prepare([
    { password: "one", previousHash: null },
  ]);

  expect(await fits("one", lookup("one", null))).toBe(true);
});

test("a published hash that fits is kept, also by a process that never saw it", async () => {
  const first = await createPasswordHasher(seededRandom(1)).prepare([
    { password: "one", previousHash: null },
  ]);
  const published = first("one", null);
  const second = await createPasswordHasher(seededRandom(2)).prepare([
    { password: "one", previousHash: published },
  ]);

  expect(second("one", published)).toBe(published);
});

test("a published hash that was checked is taken at its word, without work", async () => {
  const published = "$scrypt$ln=14,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaA";
  const lookup = await createPasswordHasher(seededRandom(1)).prepare([
    { password: "one", previousHash: published, checked: true },
  ]);

  expect(lookup("one", published)).toBe(published);
});

test("a published hash of another password, or one that is none, is replaced", async () => {
  const hasher = createPasswordHasher(seededRandom(1));
  const old = (await hasher.prepare([{ password: "old", previousHash: null }]))("old", null);
  const lookup = await hasher.prepare([
    { password: "new", previousHash: old },
    { password: "new", previousHash: "$scrypt$ln=40,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaA" },
  ]);

  expect(await fits("new", lookup("new", old))).toBe(true);
  expect(lookup("new", old)).not.toBe(old);
  expect(await fits("new", lookup("new", "$scrypt$ln=40,r=8,p=1$c2FsdHNhbHRzYWx0$aGFzaA"))).toBe(true);
});

test("a hash asked for that was not prepared is a defect", async () => {
  const lookup = await createPasswordHasher(seededRandom(1)).prepare([]);

  expect(() => lookup("one", null)).toThrow("not prepared");
});
