/**
 * Who a client is: user name and password against the credentials of the configuration.
 *
 * A password costs some 40 ms and 16 MiB of scrypt, off the main thread. Clients open sessions all the
 * time with the same password, so a success is remembered for a while under a keyed hash, and only what is
 * new is worked out, few at a time, in a bounded line. Unknown users take as long as known ones. Attempts
 * of one client at one user are judged one after the other, so that a hundred at once are still counted.
 */
import { createHmac } from "node:crypto";

import type { Credential } from "../contract/config.ts";
import { type Clock, sleep } from "../kit/clock.ts";
import { parsePasswordHash, type PasswordHash, verifyPassword } from "../kit/passwordHash.ts";
import type { Random } from "../kit/random.ts";
import { AuthThrottle } from "./authThrottle.ts";
import { type Refusal, refusal } from "./refusal.ts";

export type AuthVerdict =
  | { readonly ok: true; readonly credential: Credential }
  | { readonly ok: false; readonly refusal: Refusal };

export interface AuthAttempt {
  readonly clientAddress: string;
  readonly username: string;
  readonly password: string;
}

export interface Credentials {
  /** Replaces all credentials. Who is logged in stays until his session asks again (`current`). */
  apply(credentials: readonly Credential[]): void;
  /** Never rejects for a wrong password; takes as long as the throttle says. */
  authenticate(attempt: AuthAttempt): Promise<AuthVerdict>;
  /** The credential of that name as it is now; undefined when it was removed or has a new password. */
  current(credential: Credential): Credential | undefined;
}

const REMEMBER_MS = 10 * 60 * 1000;
const MOST_REMEMBERED = 1000;
/** libuv has four threads, and the spool's fsync needs them too. */
const MOST_HASHING = 2;
/** Logins that may wait for a thread: at 40 ms each, ten seconds when all are different. */
const MOST_WAITING = 500;

/** A hash no password has, of the cost the others have, for users who do not exist. */
const nobody: PasswordHash = {
  logN: 14,
  r: 8,
  p: 1,
  salt: Buffer.alloc(16),
  hash: Buffer.alloc(32, 0xff),
};

/** RFC 4954 §6: one text for every wrong pair, so that nobody learns which half was wrong. */
const wrong = refusal(535, "5.7.8", "Authentication credentials invalid");
const busy = refusal(454, "4.7.0", "Too many logins at once, try again later");

export function createCredentials({ clock, random }: { clock: Clock; random: Random }): Credentials {
  const throttle = new AuthThrottle({ clock });
  const remembered = new Remembered(clock, random.bytes(32));
  const threads = new Slots(MOST_HASHING, MOST_WAITING);
  /** The last attempt in line and how many there are, by client and user. */
  const lines = new Map<string, { last: Promise<unknown>; length: number }>();
  let byUsername = new Map<string, Credential>();

  async function judge({ clientAddress, username, password }: AuthAttempt): Promise<AuthVerdict> {
    const locked = lockedOut(clientAddress, username);
    if (locked !== undefined) return { ok: false, refusal: locked };
    const credential = byUsername.get(username);
    const hash = credential === undefined ? undefined : parsePasswordHash(credential.passwordHash);
    const matches = await threads.run(
      async () =>
        // Who waited behind a success with the same password need not pay for it again.
        isRemembered(credential, password) || (await verifyPassword(password, hash ?? nobody)),
    );
    if (matches === undefined) return { ok: false, refusal: busy };
    if (credential !== undefined && hash !== undefined && matches) {
      if (!isRemembered(credential, password)) remembered.add(credential, password);
      throttle.succeeded(clientAddress, username);
      return { ok: true, credential };
    }
    const delayMs = throttle.failed(clientAddress, username);
    if (delayMs > 0) await sleep(clock, delayMs);
    return { ok: false, refusal: wrong };
  }

  function isRemembered(credential: Credential | undefined, password: string): boolean {
    return credential !== undefined && remembered.has(credential, password);
  }

  function lockedOut(clientAddress: string, username: string): Refusal | undefined {
    const seconds = throttle.lockedSeconds(clientAddress, username);
    if (seconds === 0) return undefined;
    const minutes = Math.ceil(seconds / 60);
    return refusal(454, "4.7.0", `Too many failed logins, try again in ${minutes} min`);
  }

  return {
    apply(credentials) {
      byUsername = new Map(credentials.map((credential) => [credential.username, credential]));
    },

    current(credential) {
      const now = byUsername.get(credential.username);
      return now?.passwordHash === credential.passwordHash ? now : undefined;
    },

    async authenticate(attempt) {
      const { clientAddress, username, password } = attempt;
      const locked = lockedOut(clientAddress, username);
      if (locked !== undefined) return { ok: false, refusal: locked };
      const known = byUsername.get(username);
      if (known !== undefined && isRemembered(known, password)) return { ok: true, credential: known };
      // A session has one attempt at a time, so the limits on sessions bound the line.
      const key = `${clientAddress} ${username}`;
      const line = lines.get(key) ?? { last: Promise.resolve(), length: 0 };
      lines.set(key, line);
      line.length++;
      const verdict = line.last.then(() => judge(attempt));
      line.last = verdict.catch(() => undefined);
      try {
        return await verdict;
      } finally {
        if (--line.length === 0) lines.delete(key);
      }
    },
  };
}

/** Passwords that were right lately, as hashes under a key of this process. */
class Remembered {
  readonly #clock: Clock;
  readonly #key: Uint8Array;
  readonly #until = new Map<string, number>();

  constructor(clock: Clock, key: Uint8Array) {
    this.#clock = clock;
    this.#key = key;
  }

  has(credential: Credential, password: string): boolean {
    const digest = this.#digest(credential, password);
    const until = this.#until.get(digest);
    if (until === undefined) return false;
    if (this.#clock.now() < until) return true;
    this.#until.delete(digest);
    return false;
  }

  add(credential: Credential, password: string): void {
    if (this.#until.size >= MOST_REMEMBERED) {
      const oldest = this.#until.keys().next();
      if (oldest.done !== true) this.#until.delete(oldest.value);
    }
    this.#until.set(this.#digest(credential, password), this.#clock.now() + REMEMBER_MS);
  }

  /** With the stored hash in it: a changed password in the configuration forgets the old one. */
  #digest(credential: Credential, password: string): string {
    return createHmac("sha256", this.#key)
      .update(JSON.stringify([credential.username, credential.passwordHash, password]))
      .digest("base64");
  }
}

/** Runs a bounded number of tasks at once and keeps a bounded number waiting. */
class Slots {
  readonly #mostRunning: number;
  readonly #mostWaiting: number;
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(mostRunning: number, mostWaiting: number) {
    this.#mostRunning = mostRunning;
    this.#mostWaiting = mostWaiting;
  }

  /** Undefined when too many wait already. */
  async run<T>(task: () => Promise<T>): Promise<T | undefined> {
    if (this.#running >= this.#mostRunning) {
      if (this.#waiting.length >= this.#mostWaiting) return undefined;
      // Whoever ends hands his slot over: `#running` stays.
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    } else {
      this.#running++;
    }
    try {
      return await task();
    } finally {
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
