import { expect, test } from "vitest";

import { FakeClock } from "../../test/support/fakeClock.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import type { Credential } from "../contract/config.ts";
import { hashPasswordWith } from "../kit/passwordHash.ts";
import { createCredentials } from "./credentials.ts";

const client = "192.0.2.7";
const app: Credential = {
  name: "app",
  username: "app",
  passwordHash: await hashPasswordWith("right", new Uint8Array(16)),
  domains: [],
};

function credentials(clock = new FakeClock()) {
  const store = createCredentials({ clock, random: seededRandom() });
  store.apply([app]);
  const login = (password: string, clientAddress = client, username = "app") =>
    store.authenticate({ clientAddress, username, password });
  return { clock, store, login };
}

test("the right password finds its credential, anything else the same 535", async () => {
  const { login } = credentials();

  expect(await login("right")).toEqual({ ok: true, credential: app });
  const refused = {
    ok: false,
    refusal: { code: 535, enhanced: "5.7.8", text: "Authentication credentials invalid" },
  };
  expect(await login("wrong")).toEqual(refused);
  expect(await login("right", client, "nobody")).toEqual(refused);
  expect(await login("", client, "")).toEqual(refused);
});

test("a changed password forgets the old one at once, a removed user is unknown", async () => {
  const { login, store } = credentials();
  expect(await login("right")).toMatchObject({ ok: true });

  store.apply([{ ...app, passwordHash: await hashPasswordWith("new", new Uint8Array(16)) }]);
  expect(await login("right")).toMatchObject({ ok: false });
  expect(await login("new")).toMatchObject({ ok: true });
  expect(store.current(app)).toBeUndefined();
  store.apply([]);
  expect(await login("new")).toMatchObject({ ok: false });
});

test("a hash that cannot be read lets nobody in", async () => {
  const { login, store } = credentials();
  store.apply([{ ...app, passwordHash: "right" }]);

  expect(await login("right")).toMatchObject({ ok: false, refusal: { code: 535 } });
});

test("guesses are slowed, then locked out even with the right password, and the lock ends", async () => {
  const { clock, login } = credentials();
  for (let guess = 0; guess < 5; guess++) expect(await login("wrong")).toMatchObject({ ok: false });

  let answered = false;
  const sixth = login("wrong").finally(() => (answered = true));
  await expect.poll(() => clock.pending).toBe(1);
  await clock.advance(999);
  expect(answered).toBe(false);
  await clock.advance(1);
  expect(await sixth).toMatchObject({ refusal: { code: 535 } });

  for (const seconds of [2, 4, 8, 16]) {
    const guess = login("wrong");
    await expect.poll(() => clock.pending).toBe(1);
    await clock.advance(seconds * 1000);
    expect(await guess).toMatchObject({ refusal: { code: 535 } });
  }
  expect(await login("right")).toEqual({
    ok: false,
    refusal: { code: 454, enhanced: "4.7.0", text: "Too many failed logins, try again in 15 min" },
  });
  expect(await login("right", "192.0.2.8")).toMatchObject({ ok: true });
  await clock.advance(15 * 60_000);
  expect(await login("right")).toMatchObject({ ok: true });
});

test("guesses at once are judged in line, so that the eleventh is locked out", async () => {
  const { clock, login } = credentials();
  const guesses = Array.from({ length: 11 }, () => login("wrong"));
  for (const seconds of [1, 2, 4, 8, 16]) {
    await expect.poll(() => clock.pending, { timeout: 5000 }).toBe(1);
    await clock.advance(seconds * 1000);
  }

  const codes = (await Promise.all(guesses)).map((verdict) => (verdict.ok ? 0 : verdict.refusal.code));
  expect(codes).toEqual([...Array<number>(10).fill(535), 454]);
});

test("many sessions with the right password at once all get in, and none is called a guess", async () => {
  const { login } = credentials();

  const verdicts = await Promise.all(
    Array.from({ length: 300 }, (_, index) => login("right", `192.0.2.${index % 100}`)),
  );

  expect(verdicts.every((verdict) => verdict.ok)).toBe(true);
});
