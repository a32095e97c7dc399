/**
 * Hashes of credentials' passwords for the plan, which is synchronous: they are made beforehand, off the
 * main thread, a few at a time. A published hash that still fits its password is kept, so that a new salt
 * does not make a new revision; what was checked once is remembered by digest, not by password.
 */
import { createHash } from "node:crypto";

import { hashPassword, parsePasswordHash, verifyPassword } from "../../relay/kit/passwordHash.ts";
import type { Random } from "../../relay/kit/random.ts";

export interface PasswordPair {
  readonly password: string;
  /** The hash in force, or null. */
  readonly previousHash: string | null;
  /** It is known to fit. */
  readonly checked?: boolean;
}

/** Looks up what `prepare` made; throws for a pair that was not in its list. */
export type HashLookup = (password: string, previousHash: string | null) => string;

export interface PasswordHasher {
  prepare(pairs: readonly PasswordPair[]): Promise<HashLookup>;
}

/** Pairs remembered; beyond that the oldest is worked out again when it is needed. */
const REMEMBERED = 10_000;
/** scrypt takes 16 MiB and a thread each; libuv has four threads for all. */
const AT_A_TIME = 2;

export function createPasswordHasher(random: Random): PasswordHasher {
  const remembered = new Map<string, string>();

  const hashOf = async ({ password, previousHash }: PasswordPair): Promise<string> => {
    const previous = previousHash === null ? undefined : parsePasswordHash(previousHash);
    if (previousHash !== null && previous !== undefined && (await verifyPassword(password, previous))) {
      return previousHash;
    }
    return hashPassword(password, random);
  };
  const remember = (pair: PasswordPair, hash: string) => {
    remembered.set(digest(pair), hash);
    // The next pass asks with this hash as the previous one.
    remembered.set(digest({ password: pair.password, previousHash: hash }), hash);
    for (const oldest of remembered.keys()) {
      if (remembered.size <= REMEMBERED) break;
      remembered.delete(oldest);
    }
  };

  return {
    async prepare(pairs) {
      const results = new Map<string, string>();
      const waiting = [...pairs];
      const worker = async () => {
        for (let pair = waiting.pop(); pair !== undefined; pair = waiting.pop()) {
          const { previousHash, checked = false } = pair;
          const known = (checked ? previousHash : null) ?? remembered.get(digest(pair));
          const hash = known ?? (await hashOf(pair));
          remember(pair, hash);
          results.set(digest(pair), hash);
        }
      };
      await Promise.all(Array.from({ length: AT_A_TIME }, worker));
      return (password, previousHash) => {
        const hash = results.get(digest({ password, previousHash }));
        if (hash === undefined) throw new Error("Cannot give a password's hash: it was not prepared");
        return hash;
      };
    },
  };
}

function digest(pair: PasswordPair): string {
  return createHash("sha256")
    .update(JSON.stringify([pair.password, pair.previousHash]))
    .digest("base64");
}
