/**
 * What the zone's own name servers say about a record: no cache between us and the truth, and no doubt
 * about which of them has the new value. All that answer must agree; a disagreement is named. Aliases
 * lead to other zones, whose servers are asked in turn (DKIM keys by CNAME, RFC 2317 reverse zones).
 */
import { getServers } from "node:dns";
import { isIP } from "node:net";

import type { RecordType } from "dns-packet";

import type { Clock } from "../../relay/kit/clock.ts";
import type { Random } from "../../relay/kit/random.ts";
import type { DnsAnswer, ExpectedRecord } from "../world.ts";
import { DnsFailure, type DnsPlace, type DnsReply, exchange } from "./dns/exchange.ts";
import { type Found, findRecords, type ProbedType } from "./dns/records.ts";
import { type NameServer, ZoneServers } from "./dns/zoneServers.ts";
import { createLimiter } from "./limiter.ts";

export interface DnsProbe {
  /** Never rejects: what went wrong is a `failed` answer with the reason. */
  ask(question: Pick<ExpectedRecord, "type" | "name">): Promise<DnsAnswer>;
}

export interface DnsProbeOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Recursive resolvers as "address" or "address:port"; default: the system's. */
  readonly servers?: readonly string[];
  /** One server that is asked for everything and believed: local mode's zone. */
  readonly direct?: string;
  readonly timeoutSeconds?: number;
  readonly concurrency?: number;
  /** Port of a name server, where it is not 53. */
  readonly nameServerPort?: (address: string) => number;
}

const LONGEST_CHAIN = 8;

/** Throws when a server is not an address. */
export function createDnsProbe(options: DnsProbeOptions): DnsProbe {
  const { clock, random, timeoutSeconds = 3, concurrency = 32 } = options;
  const inTurn = createLimiter(concurrency);
  const ask = (place: DnsPlace, question: { name: string; type: RecordType }, recursive: boolean) =>
    inTurn(() => exchange(place, question, recursive, { clock, random, timeoutSeconds }));
  const resolvers = (options.servers ?? getServers()).map(parsePlace);
  const zones = new ZoneServers({
    clock,
    ask: (question) => firstThatAnswers(resolvers, (place) => ask(place, question, true)),
  });
  const portOf = options.nameServerPort ?? (() => 53);
  const direct = options.direct === undefined ? null : parsePlace(options.direct);

  /** What one server says; a server that does not speak for the zone says nothing. */
  const askServer = async (server: NameServer, name: string, type: ProbedType): Promise<Found> => {
    const places = server.addresses.map((address) => ({ address, port: portOf(address) }));
    const reply = await firstThatAnswers(places, (place) => ask(place, { name, type }, false));
    if (!reply.authoritative) throw new DnsFailure(`${server.name} does not speak for ${name}`);
    return foundIn(reply, name, type);
  };
  const askZone = async (name: string, type: ProbedType): Promise<Found> => {
    if (direct !== null) return foundIn(await ask(direct, { name, type }, true), name, type);
    const servers = await zones.of(name);
    const said = await Promise.allSettled(servers.map((server) => askServer(server, name, type)));
    return agreed(servers, said, name);
  };

  return {
    async ask({ name, type }) {
      let at = name;
      try {
        for (let hop = 0; hop <= LONGEST_CHAIN; hop++) {
          const found = await askZone(at, type);
          if (found.kind === "values") return { kind: "records", values: found.values };
          if (found.kind === "none") return { kind: "none" };
          at = found.target;
        }
        return { kind: "failed", reason: `${name} leads through more than ${LONGEST_CHAIN} aliases` };
      } catch (error) {
        return { kind: "failed", reason: error instanceof Error ? error.message : String(error) };
      }
    },
  };
}

function foundIn(reply: DnsReply, name: string, type: ProbedType): Found {
  // NXDOMAIN beside an alias speaks of its target (RFC 6604 §3), of which the target's zone knows better.
  if (reply.rcode !== "NOERROR" && reply.rcode !== "NXDOMAIN") {
    throw new DnsFailure(`a name server answered ${reply.rcode} for ${name}`);
  }
  return findRecords(reply.answers, name, type);
}

/** What all servers that answered say alike. */
function agreed(
  servers: readonly NameServer[],
  said: readonly PromiseSettledResult<Found>[],
  name: string,
): Found {
  const byText = new Map<string, { readonly found: Found; readonly servers: string[] }>();
  const failures: string[] = [];
  for (const [index, result] of said.entries()) {
    const server = servers[index]?.name ?? "";
    if (result.status === "rejected") {
      failures.push(`${server}: ${result.reason instanceof Error ? result.reason.message : "failed"}`);
      continue;
    }
    const text = JSON.stringify(result.value);
    const same = byText.get(text) ?? { found: result.value, servers: [] };
    same.servers.push(server);
    byText.set(text, same);
  }
  const [first, ...others] = byText.values();
  // One that is down is no news to receivers either: they ask the others.
  if (first === undefined) throw new DnsFailure(`no name server of ${name} answered: ${failures.join("; ")}`);
  if (others.length === 0) return first.found;
  const voices = [first, ...others].map((each) => `${each.servers.join(", ")}: ${describe(each.found)}`);
  throw new DnsFailure(`the name servers of ${name} disagree: ${voices.join("; ")}`.slice(0, 480));
}

function describe(found: Found): string {
  switch (found.kind) {
    case "values":
      return found.values.map((value) => `"${value.slice(0, 64)}"`).join(", ");
    case "none":
      return "nothing";
    case "alias":
      return `an alias of ${found.target}`;
  }
}

async function firstThatAnswers<T>(
  places: readonly DnsPlace[],
  ask: (place: DnsPlace) => Promise<T>,
): Promise<T> {
  let last: unknown = new DnsFailure("there is no DNS server to ask");
  for (const place of places) {
    try {
      return await ask(place);
    } catch (error) {
      last = error;
    }
  }
  throw last;
}

/** "192.0.2.1", "192.0.2.1:5353", "2001:db8::1" or "[2001:db8::1]:5353". */
function parsePlace(text: string): DnsPlace {
  if (isIP(text) !== 0) return { address: text, port: 53 };
  const match = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text);
  const address = match?.[1] ?? match?.[2] ?? "";
  const port = Number(match?.[3]);
  if (isIP(address) === 0 || port < 1 || port > 65_535) {
    throw new Error(`Cannot use the DNS server "${text}": it must be an address or address:port`);
  }
  return { address, port };
}
