/**
 * An authoritative name server on loopback, over UDP and TCP on one port. zone.ts says what is answered;
 * here are sockets, packets and their bounds. What is no sound query is dropped or refused, and never
 * stops the server.
 */
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

import packets, { type Answer, type Packet, type Question } from "dns-packet";

import { codeOf } from "./files.ts";
import { answerFromZones, textStrings, type ZoneRecord, type Zones } from "./zone.ts";

/** Records change whenever a manifest does, and all who ask are on this machine. */
const TTL_SECONDS = 5;
const MAX_TCP_SESSIONS = 64;
const TCP_IDLE_MS = 10_000;
/** RFC 1035 §4.2.1, and what an EDNS client may raise it to without fragments. */
const PLAIN_UDP_BYTES = 512;
const EDNS_UDP_BYTES = 1232;
const OPCODE_BITS = 0x7800;
const RCODE = { ok: 0, formatError: 1, nameError: 3, notImplemented: 4, refused: 5 } as const;

export interface ZoneServer {
  readonly host: string;
  readonly port: number;
  /** Replaces everything it publishes. */
  publish(zones: Zones): void;
  close(): Promise<void>;
}

/** Opens the first port from `port` on that is free for both transports; 0 lets the system choose. */
export async function startZoneServer(options: {
  host: string;
  port: number;
  tries?: number;
}): Promise<ZoneServer> {
  const { host, port, tries = 50 } = options;
  let zones: Zones = { apexes: [], records: [] };
  let serial = 1;
  const answer = (query: Buffer, limit: "udp" | "tcp") => answerPacket(query, limit, zones, serial);

  for (let attempt = 0; ; attempt++) {
    const sessions = new Set<Socket>();
    const tcp = createServer((socket) => {
      sessions.add(socket);
      socket.on("close", () => sessions.delete(socket));
      serveTcp(socket, answer);
    });
    tcp.maxConnections = MAX_TCP_SESSIONS;
    const udp = createSocket("udp4");
    try {
      const chosen = await listenTcp(tcp, host, port === 0 ? 0 : port + attempt);
      await bindUdp(udp, host, chosen);
      udp.on("message", (query, from) => {
        const reply = answer(query, "udp");
        if (reply !== null) udp.send(reply, from.port, from.address);
      });
      // Sending to a client that is gone reports here on some systems.
      udp.on("error", () => {});
      return {
        host,
        port: chosen,
        publish(next) {
          zones = next;
          serial++;
        },
        close: () => {
          for (const socket of sessions) socket.destroy();
          return closeBoth(tcp, udp);
        },
      };
    } catch (cause) {
      await closeBoth(tcp, udp);
      if ((cause as NodeJS.ErrnoException).code !== "EADDRINUSE" || attempt + 1 >= tries) {
        throw new Error(`Cannot open a name server on ${host}:${port}: ${codeOf(cause)}`, { cause });
      }
    }
  }
}

function serveTcp(socket: Socket, answer: (query: Buffer, limit: "tcp") => Buffer | null): void {
  let waiting = Buffer.alloc(0);
  socket.setTimeout(TCP_IDLE_MS, () => socket.destroy());
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk: Buffer) => {
    // RFC 1035 §4.2.2: each message has its length in two bytes before it, so `waiting` stays under 64 KiB
    // plus one chunk.
    waiting = Buffer.concat([waiting, chunk]);
    while (waiting.length >= 2) {
      const length = waiting.readUInt16BE(0);
      if (waiting.length < 2 + length) return;
      const reply = answer(waiting.subarray(2, 2 + length), "tcp");
      waiting = waiting.subarray(2 + length);
      if (reply === null) return void socket.destroy();
      const prefix = Buffer.alloc(2);
      prefix.writeUInt16BE(reply.length);
      // One who asks and never reads is not buffered for.
      if (!socket.write(Buffer.concat([prefix, reply])) && socket.writableLength > 1_000_000) {
        return void socket.destroy();
      }
    }
  });
}

/** Null: not worth an answer (too short, or itself a response). */
function answerPacket(bytes: Buffer, transport: "udp" | "tcp", zones: Zones, serial: number): Buffer | null {
  if (bytes.length < 12 || (bytes.readUInt8(2) & 0x80) !== 0) return null;
  try {
    return answerQuery(packets.decode(bytes), transport, zones, serial);
  } catch {
    // The decoder throws at every kind of nonsense.
    return packets.encode({ type: "response", id: bytes.readUInt16BE(0), flags: RCODE.formatError });
  }
}

function answerQuery(query: Packet, transport: "udp" | "tcp", zones: Zones, serial: number): Buffer {
  const opt = query.additionals?.find((record) => record.type === "OPT");
  const base: Packet = {
    type: "response",
    id: query.id ?? 0,
    questions: query.questions ?? [],
    ...(opt === undefined ? {} : { additionals: [ednsReply] }),
  };
  const asked = (query.flags ?? 0) & packets.RECURSION_DESIRED;
  const reply = (rcode: number, rest: Partial<Packet> = {}) =>
    packets.encode({ ...base, ...rest, flags: asked | packets.AUTHORITATIVE_ANSWER | rcode });

  if (((query.flags ?? 0) & OPCODE_BITS) !== 0) return reply(RCODE.notImplemented);
  const question = query.questions?.[0];
  if (question === undefined || query.questions?.length !== 1) return reply(RCODE.formatError);
  const full = replyTo(question, zones, serial, reply);
  if (transport === "tcp") return full;
  const limit = opt?.type === "OPT" ? clamp(opt.udpPayloadSize) : PLAIN_UDP_BYTES;
  // Too long for the datagram: the client asks again over TCP.
  return full.length <= limit
    ? full
    : packets.encode({ ...base, flags: asked | packets.AUTHORITATIVE_ANSWER | packets.TRUNCATED_RESPONSE });
}

function replyTo(
  question: Question,
  zones: Zones,
  serial: number,
  reply: (rcode: number, rest?: Partial<Packet>) => Buffer,
): Buffer {
  const refusable = ["AXFR", "IXFR"].includes(question.type) || (question.class ?? "IN") !== "IN";
  if (refusable) return reply(RCODE.refused);
  const found = answerFromZones(zones, question.name, question.type);
  switch (found.kind) {
    case "refused":
      return reply(RCODE.refused);
    case "soa":
      return reply(RCODE.ok, { answers: [soa(found.apex, serial, question.name)] });
    case "records":
      return reply(RCODE.ok, { answers: found.records.map((record) => onTheWire(record, question.name)) });
    case "nodata":
    case "nxdomain":
      return reply(found.kind === "nodata" ? RCODE.ok : RCODE.nameError, {
        answers: found.records.map((record) => onTheWire(record, question.name)),
        authorities: [soa(found.apex, serial, found.apex)],
      });
  }
}

/** The owner name as the client wrote it, case included: resolvers check that (0x20). */
function onTheWire(record: ZoneRecord, asked: string): Answer {
  const name = record.name.toLowerCase() === asked.toLowerCase() ? asked : record.name;
  switch (record.type) {
    case "TXT":
      return { name, type: "TXT", ttl: TTL_SECONDS, data: textStrings(record.value) };
    case "MX":
      return {
        name,
        type: "MX",
        ttl: TTL_SECONDS,
        data: { preference: record.preference ?? 10, exchange: record.value },
      };
    default:
      return { name, type: record.type, ttl: TTL_SECONDS, data: record.value };
  }
}

function soa(apex: string, serial: number, name: string): Answer {
  return {
    name,
    type: "SOA",
    ttl: TTL_SECONDS,
    data: {
      mname: `ns.${apex}`,
      rname: `hostmaster.${apex}`,
      serial,
      refresh: 3600,
      retry: 600,
      expire: 86_400,
      minimum: TTL_SECONDS,
    },
  };
}

const ednsReply: Answer = {
  name: ".",
  type: "OPT",
  udpPayloadSize: EDNS_UDP_BYTES,
  extendedRcode: 0,
  ednsVersion: 0,
  flags: 0,
  flag_do: false,
  options: [],
};

function clamp(udpPayloadSize: number): number {
  return Math.min(Math.max(udpPayloadSize, PLAIN_UDP_BYTES), EDNS_UDP_BYTES);
}

function listenTcp(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve((server.address() as AddressInfo).port));
  });
}

function bindUdp(socket: UdpSocket, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.bind({ address: host, port, exclusive: true }, () => {
      socket.removeListener("error", reject);
      resolve();
    });
  });
}

async function closeBoth(tcp: Server, udp: UdpSocket): Promise<void> {
  await new Promise<void>((resolve) => {
    if (!tcp.listening) return resolve();
    tcp.close(() => resolve());
  });
  await new Promise<void>((resolve) => {
    try {
      udp.close(() => resolve());
    } catch {
      resolve();
    }
  });
}
