/**
 * A small authoritative DNS server for tests, on UDP and TCP of one loopback port: a map of names to
 * records, failures on order, and a log of what was asked.
 *
 *   const dns = await dnsServer({ "a.test": { MX: [[10, "mx.a.test"]] }, "mx.a.test": { A: ["127.0.0.2"] } });
 *   dns.fail("a.test", "MX", "SERVFAIL", { times: 1 });
 *
 * A name with records, or above one that has some, exists (NODATA for other types); any other is NXDOMAIN.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, type AddressInfo, type Server } from "node:net";

import * as packet from "dns-packet";

export interface ZoneEntry {
  readonly A?: readonly string[];
  readonly AAAA?: readonly string[];
  readonly MX?: readonly (readonly [preference: number, exchange: string])[];
  readonly TXT?: readonly string[];
  readonly PTR?: readonly string[];
  readonly NS?: readonly string[];
  /** Alias: answers of its target are added when this zone has it. */
  readonly CNAME?: string;
  readonly ttlSeconds?: number;
}

export type DnsFailure = "SERVFAIL" | "REFUSED" | "NXDOMAIN" | "NODATA" | "drop" | "garbage";

export interface DnsQuery {
  readonly name: string;
  readonly type: string;
  readonly transport: "udp" | "tcp";
}

export interface DnsServer {
  /** "127.0.0.1:port" */
  readonly address: string;
  readonly port: number;
  readonly queries: readonly DnsQuery[];
  /** Replaces or adds a name; null takes it away. */
  set(name: string, entry: ZoneEntry | null): void;
  /** Fails questions for this name and type ("*" for all types), `times` often or for ever. */
  fail(name: string, type: string, failure: DnsFailure, options?: { readonly times?: number }): void;
  stop(): Promise<void>;
}

interface Fault {
  readonly name: string;
  readonly type: string;
  readonly failure: DnsFailure;
  left: number;
}

const DEFAULT_TTL_SECONDS = 300;
/** RFC 6891 §6.2.5 recommends no more; longer answers say TC and come again over TCP. */
const UDP_LIMIT_BYTES = 1232;
const LONGEST_ALIAS_CHAIN = 8;

export async function dnsServer(
  zone: Readonly<Record<string, ZoneEntry>>,
  options: { readonly host?: string; readonly port?: number } = {},
): Promise<DnsServer> {
  const host = options.host ?? "127.0.0.1";
  const entries = new Map(Object.entries(zone).map(([name, entry]) => [plain(name), entry]));
  const faults: Fault[] = [];
  const queries: DnsQuery[] = [];

  const respond = (bytes: Buffer, transport: DnsQuery["transport"]): Buffer | null => {
    const query = packet.decode(bytes);
    const question = query.questions?.[0];
    if (question === undefined) return null;
    const name = plain(question.name);
    queries.push({ name, type: question.type, transport });
    const fault = faults.find(
      (each) => each.left > 0 && each.name === name && (each.type === "*" || each.type === question.type),
    );
    if (fault !== undefined) fault.left--;
    if (fault?.failure === "drop") return null;
    if (fault?.failure === "garbage") return Buffer.from("not a message");
    const answer = answerFor(entries, question, fault?.failure ?? null);
    const message = {
      type: "response" as const,
      ...(query.id === undefined ? {} : { id: query.id }),
      questions: [question],
      flags:
        packet.AUTHORITATIVE_ANSWER |
        packet.RECURSION_AVAILABLE |
        answer.rcode |
        ((query.flags ?? 0) & 0x100),
      answers: answer.records,
      authorities: answer.records.length > 0 ? [] : [soa(name)],
    };
    const encoded = packet.encode(message);
    if (transport === "tcp" || encoded.length <= UDP_LIMIT_BYTES) return encoded;
    return packet.encode({ ...message, flags: message.flags | packet.TRUNCATED_RESPONSE, answers: [] });
  };

  const { udp, tcp, port } = await listen(host, options.port ?? 0);
  udp.on("message", (bytes, from) => {
    const answer = guarded(() => respond(bytes, "udp"));
    if (answer !== null) udp.send(answer, from.port, from.address);
  });
  tcp.on("connection", (socket) => {
    let pending: Buffer = Buffer.alloc(0);
    socket.on("error", () => {});
    socket.on("data", (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk]);
      while (pending.length >= 2 && pending.length >= 2 + pending.readUInt16BE(0)) {
        const end = 2 + pending.readUInt16BE(0);
        const asked = pending.subarray(2, end);
        const answer = guarded(() => respond(asked, "tcp"));
        pending = pending.subarray(end);
        if (answer === null) return void socket.destroy();
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.write(Buffer.concat([length, answer]));
      }
    });
  });

  return {
    address: `${host}:${port}`,
    port,
    queries,
    set: (name, entry) =>
      void (entry === null ? entries.delete(plain(name)) : entries.set(plain(name), entry)),
    fail: (name, type, failure, { times } = {}) =>
      void faults.push({ name: plain(name), type, failure, left: times ?? Infinity }),
    stop: () =>
      new Promise((resolve) => {
        udp.close();
        tcp.close(() => resolve());
      }),
  };
}

function answerFor(
  entries: ReadonlyMap<string, ZoneEntry>,
  question: packet.Question,
  failure: Exclude<DnsFailure, "drop" | "garbage"> | null,
): { rcode: number; records: packet.Answer[] } {
  if (failure === "SERVFAIL") return { rcode: 2, records: [] };
  if (failure === "REFUSED") return { rcode: 5, records: [] };
  if (failure === "NXDOMAIN") return { rcode: 3, records: [] };
  if (failure === "NODATA") return { rcode: 0, records: [] };
  const records: packet.Answer[] = [];
  let name = plain(question.name);
  for (let hop = 0; hop < LONGEST_ALIAS_CHAIN; hop++) {
    const entry = entries.get(name);
    if (entry === undefined) return { rcode: exists(entries, name) ? 0 : 3, records };
    records.push(...recordsOf(name, question.type, entry));
    if (entry.CNAME === undefined || question.type === "CNAME") break;
    name = plain(entry.CNAME);
  }
  return { rcode: 0, records };
}

function recordsOf(name: string, type: string, entry: ZoneEntry): packet.Answer[] {
  const ttl = entry.ttlSeconds ?? DEFAULT_TTL_SECONDS;
  if (entry.CNAME !== undefined) return [{ name, ttl, type: "CNAME", data: entry.CNAME }];
  switch (type) {
    case "A":
    case "AAAA":
    case "PTR":
    case "NS":
      return (entry[type] ?? []).map((data) => ({ name, ttl, type, data }));
    case "MX":
      return (entry.MX ?? []).map(([preference, exchange]) => ({
        name,
        ttl,
        type,
        data: { preference, exchange },
      }));
    case "TXT":
      return (entry.TXT ?? []).map((text) => ({ name, ttl, type, data: text.match(/.{1,255}/g) ?? [""] }));
    default:
      return [];
  }
}

/** A name without records of its own exists when something stands below it (RFC 8020). */
function exists(entries: ReadonlyMap<string, ZoneEntry>, name: string): boolean {
  return [...entries.keys()].some((other) => other.endsWith(`.${name}`));
}

function soa(name: string): packet.Answer {
  const zone = name.split(".").slice(-1).join(".");
  const data = {
    mname: `ns.${zone}`,
    rname: `host.${zone}`,
    serial: 1,
    refresh: 60,
    retry: 60,
    expire: 60,
    minimum: 60,
  };
  return { name: zone, ttl: 60, type: "SOA", data };
}

function guarded(respond: () => Buffer | null): Buffer | null {
  try {
    return respond();
  } catch {
    // What cannot be read is not answered, as real servers do with noise.
    return null;
  }
}

/** UDP and TCP on one port: the system picks it for one, and the other may find it taken. */
async function listen(host: string, wanted: number): Promise<{ udp: UdpSocket; tcp: Server; port: number }> {
  for (let attempt = 0; attempt < 20; attempt++) {
    const tcp = createServer();
    await new Promise<void>((resolve, reject) => tcp.once("error", reject).listen(wanted, host, resolve));
    const { port } = tcp.address() as AddressInfo;
    const udp = createSocket(host.includes(":") ? "udp6" : "udp4");
    const bound = await new Promise<boolean>((resolve) => {
      udp.once("error", () => resolve(false));
      udp.bind(port, host, () => resolve(true));
    });
    if (bound) return { udp, tcp, port };
    tcp.close();
    udp.close();
  }
  throw new Error(
    `Cannot start a DNS server on ${host}: no port is free for both UDP and TCP after 20 tries`,
  );
}

function plain(name: string): string {
  return name.toLowerCase().replace(/\.$/, "");
}
