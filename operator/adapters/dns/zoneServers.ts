/**
 * Which name servers speak for a name: its zone is found by asking a recursive resolver for NS records,
 * from the name upwards; then the servers' addresses. What was found holds for some minutes.
 */
import type { RecordType } from "dns-packet";

import type { Clock } from "../../../relay/kit/clock.ts";
import { DnsFailure, type DnsReply } from "./exchange.ts";
import { canonicalName } from "./records.ts";

/** A name server with the addresses it has. */
export interface NameServer {
  readonly name: string;
  readonly addresses: readonly string[];
}

/** Asks the recursive resolvers. Rejects with a DnsFailure. */
export type AskResolver = (question: {
  readonly name: string;
  readonly type: RecordType;
}) => Promise<DnsReply>;

/** Delegations rarely change, and a changed one is seen within this time. */
const REMEMBER_MS = 300_000;
const REMEMBERED_NAMES = 10_000;
/** Nobody runs more than 13 (the root); the rest is not asked. */
const MOST_SERVERS = 13;
const MOST_LABELS = 128;

export class ZoneServers {
  readonly #clock: Clock;
  readonly #ask: AskResolver;
  readonly #known = new Map<
    string,
    { readonly at: number; readonly servers: Promise<readonly NameServer[]> }
  >();

  constructor(options: { readonly clock: Clock; readonly ask: AskResolver }) {
    this.#clock = options.clock;
    this.#ask = options.ask;
  }

  /** At least one server, each with an address. Rejects with a DnsFailure. */
  async of(name: string): Promise<readonly NameServer[]> {
    const labels = canonicalName(name).split(".");
    if (labels.length > MOST_LABELS) throw new DnsFailure(`${name.slice(0, 64)}… has too many labels`);
    for (let from = 0; from < labels.length; from++) {
      const servers = await this.#at(labels.slice(from).join("."));
      if (servers.length > 0) return servers;
    }
    throw new DnsFailure(`no zone is delegated for ${name}`);
  }

  /** Servers of the zone of exactly this name; none when it is no zone. */
  #at(zone: string): Promise<readonly NameServer[]> {
    const known = this.#known.get(zone);
    const now = this.#clock.now();
    if (known !== undefined && now - known.at < REMEMBER_MS) return known.servers;
    const servers = this.#find(zone);
    this.#known.delete(zone);
    this.#known.set(zone, { at: now, servers });
    // A failure is not knowledge.
    servers.catch(() => this.#known.delete(zone));
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED_NAMES) break;
      this.#known.delete(oldest);
    }
    return servers;
  }

  async #find(zone: string): Promise<readonly NameServer[]> {
    const reply = await this.#ask({ name: zone, type: "NS" });
    if (reply.rcode !== "NOERROR" && reply.rcode !== "NXDOMAIN") {
      throw new DnsFailure(`the resolver answered ${reply.rcode} for the name servers of ${zone}`);
    }
    const names = reply.answers.flatMap((answer) =>
      answer.type === "NS" && canonicalName(answer.name) === zone ? [canonicalName(answer.data)] : [],
    );
    if (names.length === 0) return [];
    const servers = await Promise.all(
      [...new Set(names)]
        .toSorted()
        .slice(0, MOST_SERVERS)
        .map((name) => this.#server(name)),
    );
    const reachable = servers.filter((server) => server.addresses.length > 0);
    if (reachable.length === 0) throw new DnsFailure(`the name servers of ${zone} have no addresses`);
    return reachable;
  }

  async #server(name: string): Promise<NameServer> {
    const replies = await Promise.allSettled([
      this.#ask({ name, type: "A" }),
      this.#ask({ name, type: "AAAA" }),
    ]);
    const addresses = replies.flatMap((reply) =>
      reply.status === "fulfilled"
        ? reply.value.answers.flatMap((answer) =>
            answer.type === "A" || answer.type === "AAAA" ? [answer.data] : [],
          )
        : [],
    );
    return { name, addresses };
  }
}
