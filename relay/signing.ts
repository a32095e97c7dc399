/**
 * The keys of the configuration in force, parsed once, and the signature of one message with them.
 * Keys are swapped with the configuration; a message that is being signed keeps the ones it began with.
 */
import { type Log } from "./kit/log.ts";
import type { RelayConfig } from "./contract/config.ts";
import type { QueuedMessage } from "./message.ts";
import type { Spool } from "./queue/spool.ts";
import { parseSigningKey } from "./smtp/keys.ts";
import { type SigningKey, signMessage } from "./smtp/sign.ts";
import type { Clock } from "./kit/clock.ts";

export interface Signing {
  /** Parses the keys of all domains. A key that cannot be used is left out and logged; the others sign. */
  apply(config: RelayConfig, files: ReadonlyMap<string, Buffer>): void;
  /** DKIM-Signature fields for the message; empty when its domain has no key in force. */
  sign(message: QueuedMessage): Promise<Buffer>;
  /** "domain/selector" of the keys that sign. */
  loadedKeys(): readonly string[];
}

export function createSigning(parts: {
  readonly clock: Clock;
  readonly log: Log;
  readonly spool: Spool;
}): Signing {
  const { clock, log, spool } = parts;
  let keys: ReadonlyMap<string, readonly SigningKey[]> = new Map();
  return {
    apply(config, files) {
      const next = new Map<string, SigningKey[]>();
      for (const { domain, dkim } of config.domains) {
        const usable: SigningKey[] = [];
        for (const { selector, algorithm, file } of dkim) {
          const parsed = parseSigningKey(files.get(file) ?? "", algorithm);
          if (parsed.kind === "key") usable.push({ selector, algorithm, key: parsed.key });
          else log.error("DKIM key cannot be used", { domain, selector, file, reason: parsed.reason });
        }
        next.set(domain, usable);
      }
      keys = next;
    },
    async sign(message) {
      const domain = message.sendingDomain;
      const usable = domain === null ? [] : (keys.get(domain) ?? []);
      if (domain === null || usable.length === 0) return Buffer.alloc(0);
      return signMessage({
        header: await headerOf(message, spool),
        bodyHash: message.bodyHash,
        domain,
        keys: usable,
        signedAt: clock.now(),
      });
    },
    loadedKeys: () =>
      [...keys].flatMap(([domain, usable]) => usable.map(({ selector }) => `${domain}/${selector}`)),
  };
}

/** From memory while the message is fresh, as almost every message that is signed is. */
async function headerOf({ id, headerBytes }: QueuedMessage, spool: Spool): Promise<Buffer> {
  const pieces = spool.atHand(id);
  if (pieces !== null) {
    const [first] = pieces;
    const whole = first !== undefined && first.length >= headerBytes ? first : Buffer.concat(pieces);
    return whole.subarray(0, headerBytes);
  }
  const chunks: Buffer[] = [];
  for await (const chunk of spool.read(id, { start: 0, end: headerBytes })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
