/**
 * The world outside of a throw-away cluster, on the node's own address: a name server at port 53, which pods ask
 * (node/kubelet.ts), and a mail exchanger at port 25. Pods reach both; nobody beyond this machine does. Where relays
 * are processes it is on loopback, at ports of its own.
 */
import { Resolver } from "node:dns/promises";

import { dkimVerify, type DNSResolver } from "mailauth";
import { SMTPServer } from "smtp-server";

import { makeCertificate } from "../certificate.ts";
import { type DnsServer, dnsServer, type ZoneEntry } from "../dnsServer.ts";
import { NODE_ADDRESS } from "./node/network.ts";

export const INBOX = "inbox.test";
const EXCHANGER = "mx.inbox.test";
const NAME_SERVER = "ns.test";

export interface Arrival {
  readonly from: string;
  readonly to: readonly string[];
  /** What the client called itself. */
  readonly ehlo: string;
  /** Where it came from. */
  readonly address: string;
  readonly overTls: boolean;
  /** As after DATA, dots unstuffed. */
  readonly content: Buffer;
}

export interface OutsideOptions {
  readonly host?: string;
  readonly dnsPort?: number;
  readonly smtpPort?: number;
}

export interface Outside extends AsyncDisposable {
  readonly dns: DnsServer;
  /** All that came for INBOX, oldest first. */
  readonly arrivals: readonly Arrival[];
  /** Connections of relays that are open now. */
  readonly sessions: number;
  /** Whether mail is put off (450) for now. */
  busy: boolean;
  /** The records in force from now on, as a status lists them, in place of those published before. */
  publish(records: readonly DnsRecord[]): void;
  /** Of each signature, "selector: verdict", by an implementation that is not ours. */
  verify(arrival: Arrival): Promise<string[]>;
}

export interface DnsRecord {
  readonly type: string;
  readonly name: string;
  /** The value that should be there. */
  readonly expected: string;
}

/** Start it once the cluster is up, unless told where to be: its address is the cluster's bridge. */
export async function startOutside(options: OutsideOptions = {}): Promise<Outside> {
  const { host = NODE_ADDRESS, dnsPort = 53, smtpPort = 25 } = options;
  const apex = { NS: [NAME_SERVER] };
  const dns = await dnsServer(
    {
      test: apex,
      "in-addr.arpa": apex,
      [NAME_SERVER]: { A: [host] },
      [INBOX]: { MX: [[10, EXCHANGER]] },
      [EXCHANGER]: { A: [host] },
    },
    { host, port: dnsPort },
  );
  const arrivals: Arrival[] = [];
  const outside = {
    busy: false,
    get sessions() {
      return exchanger.connections.size;
    },
  };
  const exchanger = await startExchanger({ host, port: smtpPort }, arrivals, () => outside.busy);
  let published: readonly string[] = [];
  return Object.assign(outside, {
    dns,
    arrivals,
    publish(records: readonly DnsRecord[]) {
      const zone = new Map<string, Map<string, Set<string>>>();
      for (const { type, name, expected } of records) {
        const types = zone.get(name) ?? new Map<string, Set<string>>();
        zone.set(name, types.set(type, (types.get(type) ?? new Set()).add(expected)));
      }
      for (const name of published) if (!zone.has(name)) dns.set(name, null);
      for (const [name, types] of zone) dns.set(name, entryOf(types));
      published = [...zone.keys()];
    },
    async verify({ content }: Arrival) {
      const { results } = await dkimVerify(content, { resolver: resolverOf(dns) });
      return results.map(({ selector, status }) => `${selector}: ${status.result}`).toSorted();
    },
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => exchanger.close(() => resolve()));
      await dns.stop();
    },
  });
}

function entryOf(types: ReadonlyMap<string, ReadonlySet<string>>): ZoneEntry {
  return Object.fromEntries([...types].map(([type, values]) => [type, [...values]]));
}

function resolverOf(dns: DnsServer): DNSResolver {
  return async (name, type) => {
    const resolver = new Resolver({ timeout: 3000, tries: 2 });
    resolver.setServers([dns.address]);
    if (type === "TXT") return await resolver.resolveTxt(name);
    throw new Error(`Cannot verify: ${type} of ${name} was asked for, which no signature needs.`);
  };
}

async function startExchanger(
  place: { readonly host: string; readonly port: number },
  arrivals: Arrival[],
  busy: () => boolean,
): Promise<SMTPServer> {
  const server = new SMTPServer({
    name: EXCHANGER,
    ...(await makeCertificate(EXCHANGER)),
    authOptional: true,
    disabledCommands: ["AUTH"],
    disableReverseLookup: true,
    logger: false,
    onRcptTo(_address, _session, callback) {
      callback(busy() ? Object.assign(new Error("4.2.0 busy"), { responseCode: 450 }) : null);
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("error", callback);
      stream.on("end", () => {
        const { mailFrom, rcptTo } = session.envelope;
        arrivals.push({
          from: mailFrom === false ? "" : mailFrom.address,
          to: rcptTo.map(({ address }) => address),
          ehlo: session.hostNameAppearsAs,
          address: session.remoteAddress,
          overTls: session.secure,
          content: Buffer.concat(chunks),
        });
        callback(null, "taken");
      });
    },
  });
  server.on("error", () => {
    // A peer that breaks off; its session is over, the server goes on.
  });
  await new Promise<void>((resolve, reject) => {
    server.server.once("error", reject);
    server.listen(place.port, place.host, () => resolve());
  });
  return server;
}
