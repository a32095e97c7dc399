/**
 * One DNS question to one server: UDP, sent again while nothing comes, TCP when the answer was cut short
 * (RFC 7766). Only a message that answers this very question counts; nonsense and silence end in an error
 * that names the server.
 */
import { createSocket } from "node:dgram";
import { connect, isIPv6 } from "node:net";

import * as packet from "dns-packet";

import type { Clock } from "../../../relay/kit/clock.ts";
import type { Random } from "../../../relay/kit/random.ts";

export interface DnsPlace {
  readonly address: string;
  readonly port: number;
}

export interface DnsReply {
  readonly rcode: string;
  /** The server speaks for the zone (AA). */
  readonly authoritative: boolean;
  readonly answers: readonly packet.Answer[];
}

export interface ExchangeOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly timeoutSeconds: number;
}

/** What fits an unfragmented packet everywhere (RFC 9715 §3.1). */
const UDP_BYTES = 1232;
const RESEND_AFTER_MS = 1000;

export class DnsFailure extends Error {
  override readonly name = "DnsFailure";
}

/** `recursive`: the server may ask others for us. Rejects with a DnsFailure. */
export async function exchange(
  place: DnsPlace,
  question: { readonly name: string; readonly type: packet.RecordType },
  recursive: boolean,
  options: ExchangeOptions,
): Promise<DnsReply> {
  const query: packet.Packet = {
    type: "query",
    id: Buffer.from(options.random.bytes(2)).readUInt16BE(0),
    flags: recursive ? packet.RECURSION_DESIRED : 0,
    questions: [{ ...question, class: "IN" }],
    additionals: [
      {
        type: "OPT",
        name: ".",
        udpPayloadSize: UDP_BYTES,
        extendedRcode: 0,
        ednsVersion: 0,
        flags: 0,
        flag_do: false,
        options: [],
      },
    ],
  };
  if (!isName(question.name)) throw new DnsFailure(`"${question.name}" is no name DNS can carry`);
  const bytes = packet.encode(query);
  const short = await overUdp(place, bytes, query, options);
  const reply = short.flag_tc ? await overTcp(place, bytes, query, options) : short;
  return { rcode: rcodeOf(reply), authoritative: reply.flag_aa, answers: reply.answers ?? [] };
}

/** RFC 1035 §4.1.1: the low four bits of the flags. */
function rcodeOf(reply: packet.DecodedPacket): string {
  const code = (reply.flags ?? 0) & 0x0f;
  return ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"][code] ?? `RCODE${code}`;
}

/** RFC 1035 §2.3.4: labels of 63 octets, names of 255 with their length octets. */
function isName(name: string): boolean {
  return name.length <= 253 && name.split(".").every((label) => label.length >= 1 && label.length <= 63);
}

function overUdp(
  place: DnsPlace,
  bytes: Buffer,
  query: packet.Packet,
  { clock, timeoutSeconds }: ExchangeOptions,
): Promise<packet.DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = createSocket(isIPv6(place.address) ? "udp6" : "udp4");
    const cancels: (() => void)[] = [];
    const finish = (settle: () => void) => {
      for (const cancel of cancels.splice(0)) cancel();
      socket.removeAllListeners();
      // What the kernel still reports of a closed socket is of no interest.
      socket.on("error", () => {});
      socket.close();
      settle();
    };
    const fail = (text: string, cause?: unknown) =>
      finish(() => reject(new DnsFailure(`${nameOf(place)} ${text}`, { cause })));
    const send = () => {
      socket.send(bytes, (error) => {
        if (error !== null) fail(`cannot be asked: ${error.message}`, error);
      });
    };
    socket.on("error", (error) => fail(`cannot be asked: ${error.message}`, error));
    socket.on("message", (message) => {
      const reply = answerTo(query, message);
      if (reply !== null) finish(() => resolve(reply));
    });
    // Connected: the kernel drops what other addresses send.
    socket.connect(place.port, place.address, () => {
      send();
      for (let at = RESEND_AFTER_MS; at < timeoutSeconds * 1000; at += RESEND_AFTER_MS) {
        cancels.push(clock.after(at, send));
      }
    });
    cancels.push(clock.after(timeoutSeconds * 1000, () => fail(`did not answer within ${timeoutSeconds} s`)));
  });
}

function overTcp(
  place: DnsPlace,
  bytes: Buffer,
  query: packet.Packet,
  { clock, timeoutSeconds }: ExchangeOptions,
): Promise<packet.DecodedPacket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: place.address, port: place.port });
    let received = Buffer.alloc(0);
    const finish = (settle: () => void) => {
      cancel();
      socket.destroy();
      settle();
    };
    const fail = (text: string, cause?: unknown) =>
      finish(() => reject(new DnsFailure(`${nameOf(place)} ${text}`, { cause })));
    const cancel = clock.after(timeoutSeconds * 1000, () =>
      fail(`did not answer over TCP within ${timeoutSeconds} s`),
    );
    socket.on("connect", () => {
      const length = Buffer.alloc(2);
      length.writeUInt16BE(bytes.length);
      socket.write(Buffer.concat([length, bytes]));
    });
    socket.on("data", (chunk: Buffer) => {
      // At most 64 KiB and a packet: the length field has two bytes.
      received = Buffer.concat([received, chunk]);
      if (received.length < 2 || received.length < 2 + received.readUInt16BE(0)) return;
      const reply = answerTo(query, received.subarray(2, 2 + received.readUInt16BE(0)));
      if (reply === null) fail("answered over TCP with something that cannot be read");
      else finish(() => resolve(reply));
    });
    socket.on("error", (error) => fail(`cannot be asked over TCP: ${error.message}`, error));
    socket.on("close", () => fail("closed the TCP connection without an answer"));
  });
}

/** Null: not an answer to this question. */
function answerTo(query: packet.Packet, message: Buffer): packet.DecodedPacket | null {
  let reply: packet.DecodedPacket;
  try {
    reply = packet.decode(message);
  } catch {
    return null;
  }
  const [asked] = query.questions ?? [];
  const [echoed] = reply.questions ?? [];
  const same =
    reply.type === "response" &&
    reply.id === query.id &&
    (echoed === undefined ||
      (echoed.type === asked?.type && echoed.name.toLowerCase() === asked.name.toLowerCase()));
  return same ? reply : null;
}

function nameOf(place: DnsPlace): string {
  const host = isIPv6(place.address) ? `[${place.address}]` : place.address;
  return place.port === 53 ? host : `${host}:${place.port}`;
}
