/**
 * Where the mail of a domain goes: RFC 5321 §5.1, RFC 7505 (null MX), address literals, and what must
 * not be: loops back to us and hosts in forbidden networks.
 *
 * Every way this can end is a value. What the DNS says for certain (no such name, null MX, MX without
 * address) is permanent; what nobody could tell (SERVFAIL, time-out) is not, and is asked again soon.
 */
import { isIP } from "node:net";

import type { Clock } from "../kit/clock.ts";
import type { Log } from "../kit/log.ts";
import type { Random } from "../kit/random.ts";
import { TtlCache } from "../kit/ttlCache.ts";
import type { MxResolver, Resolution } from "./delivery.ts";
import { type Answer, createDnsLookup, type DnsLookup, MX_TTL_SECONDS, type MxRecord } from "./dnsLookup.ts";
import {
  FAILED_TTL_SECONDS,
  type Known,
  network,
  type Network,
  NO_TTL_SECONDS,
  siteKey,
  unroutable,
  usableHosts,
} from "./mxHosts.ts";

export interface MxResolverOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** "address:port" of resolvers; empty: the system's. */
  readonly servers: readonly string[];
  /** MX hosts in these networks are refused with 5.4.4. Smart hosts, which the owner names, are not. */
  readonly forbiddenNetworks: readonly string[];
  /** Our own host names: an MX with one of them, and all less preferred ones, would come back to us. */
  readonly ownNames?: readonly string[];
  /** How long one server may take for one question, milliseconds. Default 5000. */
  readonly timeoutMs?: number;
  /** Rounds through the servers. Default 2. */
  readonly tries?: number;
}

export interface ConfigurableMxResolver extends MxResolver {
  /**
   * Takes new servers, networks and own names (left out: as before), and forgets what it knew.
   * Throws, and stays as it was, when a server is no address.
   */
  reconfigure(
    servers: readonly string[],
    forbiddenNetworks: readonly string[],
    ownNames?: readonly string[],
  ): void;
}

/** Of a domain with more MX hosts than these, only the most preferred are looked up. */
const MOST_HOSTS = 10;
const MOST_CACHED = 10_000;

/** Throws when a server is no address. */
export function createMxResolver(options: MxResolverOptions): ConfigurableMxResolver {
  return new DnsMxResolver(options);
}

class DnsMxResolver implements ConfigurableMxResolver {
  readonly #options: MxResolverOptions;
  readonly #known: TtlCache<Resolution>;
  readonly #addresses: TtlCache<Answer<string>>;
  readonly #asking = new Map<string, Promise<Resolution>>();
  #lookup: DnsLookup;
  #forbidden: readonly Network[];
  #ownNames: ReadonlySet<string>;
  /** Counts configurations: an answer from an older one is given to who asked, and not kept. */
  #generation = 0;

  constructor(options: MxResolverOptions) {
    this.#options = options;
    this.#known = new TtlCache({ clock: options.clock, most: MOST_CACHED });
    this.#addresses = new TtlCache({ clock: options.clock, most: MOST_CACHED });
    this.#lookup = this.#lookupAt(options.servers);
    this.#forbidden = options.forbiddenNetworks.map(network);
    this.#ownNames = new Set((options.ownNames ?? []).map(plainName));
  }

  reconfigure(
    servers: readonly string[],
    forbiddenNetworks: readonly string[],
    ownNames?: readonly string[],
  ): void {
    const lookup = this.#lookupAt(servers);
    this.#forbidden = forbiddenNetworks.map(network);
    this.#lookup = lookup;
    if (ownNames !== undefined) this.#ownNames = new Set(ownNames.map(plainName));
    this.#generation++;
    this.#known.clear();
    this.#addresses.clear();
    this.#asking.clear();
  }

  resolve(domain: string): Promise<Resolution> {
    const name = plainName(domain);
    return this.#once(`mx ${name}`, () =>
      name.startsWith("[") ? this.#literal(name) : this.#mailHosts(name),
    );
  }

  resolveHost(host: string): Promise<Resolution> {
    const name = plainName(host);
    return this.#once(`host ${name}`, async () => {
      const address = name.replaceAll(/^\[(?:ipv6:)?|\]$/g, "");
      const answer = isIP(address) === 0 ? await this.#addressesOf(name) : literalAnswer(address);
      const record = { preference: 0, exchange: name };
      return usableHosts([{ record, answer }], { subject: "the smart host", site: name, forbidden: [] });
    });
  }

  /** Known, else asked together with whoever asks the same now. Never rejects. */
  async #once(key: string, ask: () => Promise<Known> | Known): Promise<Resolution> {
    const cached = this.#known.get(key);
    if (cached !== undefined) return this.#shuffled(cached);
    let asking = this.#asking.get(key);
    if (asking === undefined) {
      asking = this.#ask(key, ask);
      this.#asking.set(key, asking);
    }
    return this.#shuffled(await asking);
  }

  async #ask(key: string, ask: () => Promise<Known> | Known): Promise<Resolution> {
    const generation = this.#generation;
    const { resolution, ttlSeconds } = await ask();
    if (resolution.kind === "unroutable") {
      this.#options.log.debug("no way found", { question: key, reason: resolution.reason });
    }
    if (generation === this.#generation) {
      this.#asking.delete(key);
      this.#known.set(key, resolution, ttlSeconds);
    }
    return resolution;
  }

  async #mailHosts(domain: string): Promise<Known> {
    const answer = await this.#lookup.mx(domain);
    switch (answer.kind) {
      case "noName":
        return unroutable(true, "5.1.2", `the domain ${domain} does not exist (NXDOMAIN)`);
      case "failed":
        return unroutable(false, "4.4.3", `cannot find the mail hosts of ${domain}: ${answer.reason}`);
      case "noData":
        // RFC 5321 §5.1: without MX records the domain itself is its only MX, preference 0.
        return this.#lookedUp([{ preference: 0, exchange: domain }], `${domain}, which has no MX`);
      case "records": {
        const hosts = answer.records.filter((record) => record.exchange !== "");
        // RFC 7505 §3: "0 ." says that the domain takes no mail; beside others it is an error of the zone.
        if (hosts.length === 0) {
          return unroutable(true, "5.1.10", `the domain ${domain} takes no mail (null MX)`);
        }
        // RFC 5321 §5.1: when MX records are present, the domain's own address is no way out.
        return this.#lookedUp(hosts, `the MX hosts of ${domain}`);
      }
    }
  }

  async #lookedUp(records: readonly MxRecord[], subject: string): Promise<Known> {
    const sorted = this.#sorted(records);
    // RFC 5321 §5.1: where we are listed ourselves, we and all that is less preferred are left out.
    const own = sorted.find((record) => this.#ownNames.has(record.exchange));
    const others = own === undefined ? sorted : sorted.filter((each) => each.preference < own.preference);
    if (own !== undefined && others.length === 0) {
      return unroutable(true, "5.4.6", `mail loops back to us: ${own.exchange}, the best MX, is this relay`);
    }
    const looked = others
      .slice(0, MOST_HOSTS)
      .map(async (record) => ({ record, answer: await this.#addressesOf(record.exchange) }));
    const forbidden = this.#forbidden;
    return usableHosts(await Promise.all(looked), { subject, site: siteKey(others), forbidden });
  }

  /** RFC 5321 §4.1.3: "[192.0.2.1]" and "[IPv6:2001:db8::1]" name the host themselves. */
  #literal(literal: string): Known {
    const address = /^\[(?:ipv6:)?([^\]]*)\]$/.exec(literal)?.[1] ?? "";
    const family = isIP(address);
    if (family === 0 || (family === 6) !== literal.startsWith("[ipv6:")) {
      return unroutable(true, "5.1.3", `${literal} is not an address literal`);
    }
    const record = { preference: 0, exchange: literal };
    const about = { subject: literal, site: literal, forbidden: this.#forbidden };
    return usableHosts([{ record, answer: literalAnswer(address) }], about);
  }

  /** IPv4 first: IPv6 is used where the source has such an address, and the deliverer knows that. */
  async #addressesOf(name: string): Promise<Answer<string>> {
    const cached = this.#addresses.get(name);
    if (cached !== undefined) return cached;
    const generation = this.#generation;
    const both = await Promise.all([this.#lookup.ipv4(name), this.#lookup.ipv6(name)]);
    const answer = merged(both);
    if (generation === this.#generation) this.#addresses.set(name, answer, timeToLive(answer));
    return answer;
  }

  /** Ascending preference, equal ones drawn; a name listed twice counts once, at its best. */
  #sorted(records: readonly MxRecord[]): MxRecord[] {
    const seen = new Set<string>();
    return this.#drawn(records).filter((record) => !seen.has(record.exchange) && seen.add(record.exchange));
  }

  /** RFC 5321 §5.1: hosts of equal preference share the load by chance, anew at each question. */
  #shuffled(resolution: Resolution): Resolution {
    if (resolution.kind !== "hosts" || resolution.hosts.length < 2) return resolution;
    return { ...resolution, hosts: this.#drawn(resolution.hosts) };
  }

  #drawn<Item extends { readonly preference: number }>(items: readonly Item[]): Item[] {
    return items
      .map((item) => ({ item, draw: this.#options.random.draw() }))
      .sort((a, b) => a.item.preference - b.item.preference || a.draw - b.draw)
      .map(({ item }) => item);
  }

  #lookupAt(servers: readonly string[]): DnsLookup {
    const { timeoutMs = 5000, tries = 2 } = this.#options;
    return createDnsLookup({ servers, timeoutMs, tries });
  }
}

function merged([ipv4, ipv6]: readonly [Answer<string>, Answer<string>]): Answer<string> {
  if (ipv4.kind !== "records" && ipv6.kind !== "records") return ipv6.kind === "failed" ? ipv6 : ipv4;
  if (ipv4.kind !== "records") return ipv6;
  if (ipv6.kind !== "records") return ipv4;
  return {
    kind: "records",
    records: [...ipv4.records, ...ipv6.records],
    ttlSeconds: Math.min(ipv4.ttlSeconds, ipv6.ttlSeconds),
  };
}

function timeToLive(answer: Answer<string>): number {
  if (answer.kind === "records") return answer.ttlSeconds;
  return answer.kind === "failed" ? FAILED_TTL_SECONDS : NO_TTL_SECONDS;
}

function literalAnswer(address: string): Answer<string> {
  return { kind: "records", records: [address], ttlSeconds: MX_TTL_SECONDS };
}

function plainName(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
