/**
 * The life of DKIM keys, by date: made → Publishing → Active → Retiring → removed.
 *
 * One RSA-2048 and one Ed25519 key sign together (RFC 8463 §6). A key signs only once it was seen in DNS
 * (promise 8); receivers have never asked for a selector before its first signature, so no cached "no such
 * name" has to be waited out. A key old enough is replaced: the new one is published beside it, and when it
 * was seen the old one retires. Its record stays for the queue's life and a week, 14 days at least, because
 * mail signed with it may still wait and be judged late. Selectors are never used twice.
 *
 * The private keys live in a Secret, one entry SELECTOR.pem each; the dates live in status, and each key's
 * birth in an annotation as well, so that a lost status is rebuilt from the Secret.
 */
import { GROUP } from "../../crds/group.ts";
import type { SendingDomainStatus } from "../../crds/sendingDomain.ts";
import { type DomainWorld, dnsQuestion, type Instant, type SecretObject } from "../world.ts";
import { type DkimAlgorithm, dkimRecordName, dkimRecordValue, judgeDkim, publicKeyOf } from "./dkimRecord.ts";

export type KeyStatus = NonNullable<SendingDomainStatus["dkim"]>["keys"][number];

/** A key whose record must be in DNS. */
export interface PublishedKey extends KeyStatus {
  /** Base64, as the record carries it. */
  readonly publicKey: string;
}

export interface KeyPlan {
  /** All keys that are still of concern, oldest first, RSA before Ed25519. */
  readonly keys: readonly KeyStatus[];
  /** Those of them whose private half is there, with the public one. */
  readonly published: readonly PublishedKey[];
  /** Keys to be made now. */
  readonly toMake: readonly { readonly selector: string; readonly algorithm: DkimAlgorithm }[];
  /** Entries of the Secret that are no private key DKIM can use. */
  readonly unusable: readonly string[];
  /** When the present keys are to be replaced; null while there are none that sign. */
  readonly nextRotation: Instant | null;
}

export const DKIM_ALGORITHMS = ["rsa-sha256", "ed25519-sha256"] as const;
const prefixOf: Readonly<Record<DkimAlgorithm, string>> = { "rsa-sha256": "r", "ed25519-sha256": "e" };

const DAY_MS = 86_400_000;
/** Late verification and slow caches, on top of the queue's life. */
const MARGIN_MS = 7 * DAY_MS;
const LEAST_RETIREMENT_MS = 14 * DAY_MS;
const DEFAULT_QUEUE_LIFE_SECONDS = 432_000;
/** Bound of the list in the API. */
const MOST_KEYS = 16;

export function pemEntry(selector: string): string {
  return `${selector}.pem`;
}

/** Annotation of the key Secret with the instant at which a key was made. */
export function createdAnnotation(selector: string): string {
  return `${GROUP}/created-${selector}`;
}

export function planKeys(world: Omit<DomainWorld, "dns"> & Partial<Pick<DomainWorld, "dns">>): KeyPlan {
  const { keys: present, unusable } = readKeys(world);
  const stepped = DKIM_ALGORITHMS.flatMap((algorithm) =>
    step(
      present.filter((key) => key.algorithm === algorithm),
      world,
    ),
  )
    .filter((key) => key.removeAfter === undefined || Date.parse(key.removeAfter) > world.now)
    .toSorted(byAge)
    .slice(-MOST_KEYS);
  const publicKeys = new Map(present.map((key) => [key.selector, key.publicKey]));
  const keys = stepped.map(({ publicKey: _public, ...key }: Known): KeyStatus => key);
  return {
    keys,
    published: keys.flatMap((key) => {
      const publicKey = publicKeys.get(key.selector);
      return publicKey === undefined || publicKey === null ? [] : [{ ...key, publicKey }];
    }),
    toMake: keysToMake(stepped, world),
    unusable,
    nextRotation: nextRotation(stepped, world),
  };
}

/** `publicKey` null: the private half is gone. */
interface Known extends KeyStatus {
  readonly publicKey: string | null;
}

/** An entry of a key Secret; null: no private key that DKIM can use. */
interface KeyEntry {
  readonly entry: string;
  readonly key: {
    readonly selector: string;
    readonly algorithm: DkimAlgorithm;
    readonly publicKey: string;
  } | null;
}

/** To derive a public key takes a millisecond, and every pass asks thrice; a Secret as read never changes. */
const entriesRead = new WeakMap<SecretObject, readonly KeyEntry[]>();

function readEntries(secret: SecretObject | null): readonly KeyEntry[] {
  if (secret === null) return [];
  const known = entriesRead.get(secret);
  if (known !== undefined) return known;
  const entries = Object.entries(secret.data ?? {}).flatMap(([entry, data]): KeyEntry[] => {
    if (!entry.endsWith(".pem")) return [];
    const selector = entry.slice(0, -".pem".length);
    const found = publicKeyOf(Buffer.from(data, "base64").toString("utf8"));
    const usable = found !== null && /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/.test(selector);
    return [{ entry, key: usable ? { selector, ...found } : null }];
  });
  entriesRead.set(secret, entries);
  return entries;
}

/** Keys of the Secret with the dates of status; keys of status whose private half is gone. */
function readKeys(world: Omit<DomainWorld, "dns">): { keys: readonly Known[]; unusable: readonly string[] } {
  const inStatus = new Map(world.domain.status?.dkim?.keys.map((key) => [key.selector, key]));
  const unusable: string[] = [];
  const keys: Known[] = [];
  for (const { entry, key } of readEntries(world.keySecret)) {
    if (key === null) {
      unusable.push(entry);
      continue;
    }
    const { selector, algorithm, publicKey } = key;
    const known = inStatus.get(selector);
    const created =
      known?.createdAt ??
      world.keySecret?.metadata.annotations?.[createdAnnotation(selector)] ??
      timestamp(world.now);
    keys.push({
      ...(known ?? { selector, state: "Publishing" as const, createdAt: created }),
      algorithm,
      publicKey,
    });
    inStatus.delete(selector);
  }
  // Whoever holds a signature of a lost key still needs its record, so it is remembered as retired.
  for (const key of inStatus.values()) {
    if (key.state !== "Publishing") keys.push({ ...retired(key, world), publicKey: null });
  }
  return { keys, unusable };
}

/** One algorithm's keys a step on: the newest that was seen signs, older ones retire. */
function step(keys: readonly Known[], world: Parameters<typeof planKeys>[0]): readonly Known[] {
  const signs = keys
    .filter((key) => key.state === "Active" || (key.state === "Publishing" && seenInDns(key, world)))
    .toSorted(byAge)
    .at(-1);
  return keys.map((key) => {
    if (key === signs) {
      return key.state === "Active" ? key : { ...key, state: "Active", activatedAt: timestamp(world.now) };
    }
    return key.state === "Active" ? retired(key, world) : key;
  });
}

function seenInDns(key: Known, world: Parameters<typeof planKeys>[0]): boolean {
  const name = dkimRecordName(key.selector, world.domain.spec.domain);
  const answer = world.dns?.get(dnsQuestion({ type: "TXT", name }));
  if (key.publicKey === null || answer?.kind !== "records") return false;
  return judgeDkim(dkimRecordValue(key.publicKey, key.algorithm), answer.values).state === "Verified";
}

function retired<Key extends KeyStatus>(key: Key, world: Omit<DomainWorld, "dns">): Key {
  if (key.state === "Retiring") return key;
  const queueLifeMs = (world.relay?.spec.queue.expireAfterSeconds ?? DEFAULT_QUEUE_LIFE_SECONDS) * 1000;
  return {
    ...key,
    state: "Retiring",
    retiredAt: timestamp(world.now),
    removeAfter: timestamp(world.now + Math.max(LEAST_RETIREMENT_MS, queueLifeMs + MARGIN_MS)),
  };
}

/** A first key, or the successor of one that is old enough; one at a time waits to be published. */
function keysToMake(keys: readonly Known[], world: Omit<DomainWorld, "dns">): KeyPlan["toMake"] {
  const taken = new Set(keys.map(({ selector }) => selector));
  for (const entry of Object.keys(world.keySecret?.data ?? {})) taken.add(entry.replace(/\.pem$/, ""));
  return DKIM_ALGORITHMS.flatMap((algorithm) => {
    const mine = keys.filter((key) => key.algorithm === algorithm && key.state !== "Retiring");
    if (mine.some(({ state }) => state === "Publishing")) return [];
    const [active] = mine;
    if (active !== undefined && world.now < rotationOf(active, world)) return [];
    return [{ selector: freshSelector(prefixOf[algorithm], world.now, taken), algorithm }];
  });
}

/** "r2611", and "r2611a", "r2611b" … when that is taken. */
function freshSelector(prefix: string, now: Instant, taken: ReadonlySet<string>): string {
  const month = new Date(now).toISOString().slice(2, 7).replace("-", "");
  for (let index = 0; ; index++) {
    const selector = `${prefix}${month}${suffix(index)}`;
    if (!taken.has(selector)) return selector;
  }
}

/** "", "a" … "z", "aa", "ab" … */
function suffix(index: number): string {
  if (index === 0) return "";
  const rest = index - 1;
  return suffix(Math.floor(rest / 26)) + String.fromCodePoint(97 + (rest % 26));
}

function rotationOf(key: KeyStatus, world: Omit<DomainWorld, "dns">): Instant {
  return Date.parse(key.createdAt) + world.domain.spec.dkim.rotationDays * DAY_MS;
}

function nextRotation(keys: readonly Known[], world: Omit<DomainWorld, "dns">): Instant | null {
  const dates = keys.filter(({ state }) => state === "Active").map((key) => rotationOf(key, world));
  return dates.length === 0 ? null : Math.min(...dates);
}

function byAge(a: KeyStatus, b: KeyStatus): number {
  const [left, right] = [Date.parse(a.createdAt), Date.parse(b.createdAt)];
  if (left !== right) return left - right;
  if (a.algorithm !== b.algorithm) return a.algorithm === "rsa-sha256" ? -1 : 1;
  return a.selector < b.selector ? -1 : 1;
}

function timestamp(at: Instant): string {
  return `${new Date(at).toISOString().slice(0, 19)}Z`;
}
