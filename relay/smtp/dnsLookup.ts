/**
 * DNS questions with answers one can decide on: records, "the name has none", "there is no such name",
 * "nobody could tell". Node's resolver (c-ares) throws for the last three; that stops here.
 *
 * c-ares gives TTLs for addresses but not for MX; whoever caches MX bounds the time by a constant.
 */
import { Resolver } from "node:dns/promises";

export type Answer<Data> =
  | { readonly kind: "records"; readonly records: readonly Data[]; readonly ttlSeconds: number }
  /** The name exists and has no record of this type. */
  | { readonly kind: "noData" }
  | { readonly kind: "noName" }
  /** SERVFAIL, time-out, no server reached: ask again later. */
  | { readonly kind: "failed"; readonly reason: string };

export interface MxRecord {
  readonly preference: number;
  /** Lower case, no trailing dot; "" is the root: a null MX (RFC 7505). */
  readonly exchange: string;
}

export interface DnsLookup {
  mx(name: string): Promise<Answer<MxRecord>>;
  ipv4(name: string): Promise<Answer<string>>;
  ipv6(name: string): Promise<Answer<string>>;
}

export interface DnsLookupOptions {
  /** "address" or "address:port"; empty: the system's resolvers. */
  readonly servers: readonly string[];
  readonly timeoutMs: number;
  readonly tries: number;
}

/** MX answers come without a TTL: they hold this long, and no longer than their hosts' addresses. */
export const MX_TTL_SECONDS = 300;

/** Throws when a server is not an address. */
export function createDnsLookup(options: DnsLookupOptions): DnsLookup {
  const resolver = new Resolver({ timeout: options.timeoutMs, tries: options.tries });
  if (options.servers.length > 0) {
    try {
      resolver.setServers(options.servers);
    } catch (cause) {
      throw new Error(
        `Cannot use the DNS servers ${options.servers.join(", ")}: each must be an address or address:port ([address]:port for IPv6)`,
        { cause },
      );
    }
  }
  const addresses = (found: readonly { address: string; ttl: number }[]) => ({
    kind: "records" as const,
    records: found.map((record) => record.address),
    ttlSeconds: Math.min(...found.map((record) => record.ttl)),
  });
  return {
    mx: (name) =>
      asked(async () => {
        const found = await resolver.resolveMx(name);
        const records = found.map(({ priority, exchange }) => ({
          preference: priority,
          exchange: exchange.toLowerCase().replace(/\.$/, ""),
        }));
        return { kind: "records", records, ttlSeconds: MX_TTL_SECONDS };
      }),
    ipv4: (name) => asked(async () => addresses(await resolver.resolve4(name, { ttl: true }))),
    ipv6: (name) => asked(async () => addresses(await resolver.resolve6(name, { ttl: true }))),
  };
}

async function asked<Data>(ask: () => Promise<Answer<Data>>): Promise<Answer<Data>> {
  try {
    const answer = await ask();
    return answer.kind === "records" && answer.records.length === 0 ? { kind: "noData" } : answer;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "";
    switch (code) {
      case "ENODATA":
        return { kind: "noData" };
      case "ENOTFOUND":
      // A name no DNS message can carry exists nowhere.
      case "EBADNAME":
        return { kind: "noName" };
      default:
        return {
          kind: "failed",
          reason: failureTexts[code] ?? `the resolver failed: ${code || String(error)}`,
        };
    }
  }
}

const failureTexts: Readonly<Record<string, string>> = {
  ESERVFAIL: "the resolver answered SERVFAIL",
  EREFUSED: "the resolver refused to answer",
  ETIMEOUT: "the resolver did not answer in time",
  ECONNREFUSED: "no resolver could be reached",
  EBADRESP: "the resolver's answer could not be read",
  EFORMERR: "the resolver did not understand the question",
};
