/**
 * Password hashes as the relay's configuration carries them, made by the operator and checked by the
 * relay: scrypt (RFC 7914) in the text form "$scrypt$ln=14,r=8,p=1$<salt>$<hash>", salt and hash in
 * base64 without padding as the PHC string format writes them (padding is read too).
 *
 * Hashing runs on libuv's thread pool. Parameters are bounded where a hash is read, so that a
 * configuration cannot ask for gigabytes of memory at each login.
 */
import { scrypt, timingSafeEqual } from "node:crypto";

import type { Random } from "./random.ts";

/** 2^14 × 8 × 128 bytes = 16 MiB and some 40 ms a guess: what RFC 7914 §2 calls interactive use. */
const DEFAULT_COST = { logN: 14, r: 8, p: 1 } as const;
const SALT_BYTES = 16;
const HASH_BYTES = 32;
/** 128 × N × r × p: the most memory and work one login may cost. */
const LARGEST_WORK_BYTES = 128 * 1024 * 1024;

/** A hash taken apart. `logN` is the base-2 logarithm of scrypt's cost N. */
export interface PasswordHash {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
  readonly salt: Uint8Array;
  readonly hash: Uint8Array;
}

/** Hashes with a fresh salt: the same password gives another text each time. */
export function hashPassword(password: string, random: Random): Promise<string> {
  return hashPasswordWith(password, random.bytes(SALT_BYTES));
}

/**
 * Hashes with a salt of the caller's choosing (16 bytes or more, unique to this password), for whoever
 * must arrive at the same text again.
 */
export async function hashPasswordWith(password: string, salt: Uint8Array): Promise<string> {
  const { logN, r, p } = DEFAULT_COST;
  const hash = await derive(password, { logN, r, p, salt, hash: new Uint8Array(HASH_BYTES) });
  return `$scrypt$ln=${logN},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`;
}

/** Reads the text form; undefined when it is another form or asks for more than a login may cost. */
export function parsePasswordHash(text: string): PasswordHash | undefined {
  const match =
    /^\$scrypt\$ln=(\d{1,2}),r=(\d{1,3}),p=(\d{1,3})\$([A-Za-z0-9+/]{11,86}={0,2})\$([A-Za-z0-9+/]{22,86}={0,2})$/.exec(
      text,
    );
  if (match === null) return undefined;
  const [logN, r, p] = [Number(match[1]), Number(match[2]), Number(match[3])];
  if (logN < 1 || r < 1 || p < 1 || 128 * 2 ** logN * r * p > LARGEST_WORK_BYTES) return undefined;
  return {
    logN,
    r,
    p,
    salt: Buffer.from(match[4] ?? "", "base64"),
    hash: Buffer.from(match[5] ?? "", "base64"),
  };
}

/** Whether `password` is the one that was hashed; takes as long for a wrong one as for the right one. */
export async function verifyPassword(password: string, expected: PasswordHash): Promise<boolean> {
  return timingSafeEqual(await derive(password, expected), expected.hash);
}

function derive(password: string, cost: PasswordHash): Promise<Buffer> {
  const N = 2 ** cost.logN;
  return new Promise((resolve, reject) => {
    scrypt(
      password.normalize("NFC"),
      cost.salt,
      cost.hash.length,
      // maxmem must exceed what scrypt itself counts; the bound that matters is parsePasswordHash's.
      { N, r: cost.r, p: cost.p, maxmem: 2 * LARGEST_WORK_BYTES },
      (error, key) => (error === null ? resolve(key) : reject(error)),
    );
  });
}

function unpadded(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("base64").replace(/=+$/, "");
}
