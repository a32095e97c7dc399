/**
 * From nothing to a peer that is ready for MAIL: connect, greeting, EHLO, STARTTLS, EHLO again, AUTH.
 * Rejects with `SessionBroken`, whose stage and kind tell the caller whether another host may be tried.
 */
import { isIP } from "node:net";

import type { Clock } from "../../kit/clock.ts";
import type { SmtpStage } from "../../message.ts";
import { SmtpChannel } from "./channel.ts";
import type { DeliveryJob, DeliveryResult } from "../delivery.ts";
import { type Extensions, noExtensions, parseExtensions } from "./extensions.ts";
import { codeOf, replyText } from "./replies.ts";
import { type BreakKind, SessionBroken } from "./sessionBroken.ts";

/** How long each step may take, milliseconds. */
export interface Timeouts {
  readonly connectMs: number;
  readonly greetingMs: number;
  readonly ehloMs: number;
  readonly tlsMs: number;
  readonly authMs: number;
  readonly mailMs: number;
  readonly rcptMs: number;
  readonly dataMs: number;
  /** For the peer to take a block of content. */
  readonly blockMs: number;
  readonly finalDotMs: number;
  readonly resetMs: number;
  readonly quitMs: number;
}

/** RFC 5321 §4.5.3.2 where it speaks; a final dot cut short means duplicates. */
export const rfcTimeouts: Timeouts = {
  connectMs: 30_000,
  greetingMs: 300_000,
  ehloMs: 300_000,
  tlsMs: 60_000,
  authMs: 300_000,
  mailMs: 300_000,
  rcptMs: 300_000,
  dataMs: 120_000,
  blockMs: 180_000,
  finalDotMs: 600_000,
  resetMs: 20_000,
  quitMs: 5_000,
};

/** A host's address to try. */
export interface Candidate {
  readonly host: string;
  readonly address: string;
}

export interface Session extends Candidate {
  readonly channel: SmtpChannel;
  readonly extensions: Extensions;
  readonly tls: DeliveryResult["tls"];
  readonly openedAt: number;
  /** Transactions begun in it. */
  transactions: number;
  /** A transaction may stand open: RSET goes before the next MAIL. */
  needsReset: boolean;
}

export interface OpenOptions {
  readonly clock: Clock;
  readonly timeouts: Timeouts;
  readonly job: DeliveryJob;
  readonly candidate: Candidate;
  /** Certificates trusted besides the system's, PEM. */
  readonly ca: readonly string[] | undefined;
  /** Leave STARTTLS alone: it failed with this host, and the job allows plain text. */
  readonly plainText: boolean;
  /** Told as soon as the connection stands. */
  readonly onChannel: (channel: SmtpChannel) => void;
}

export async function openSession(options: OpenOptions): Promise<Session> {
  const { clock, timeouts, job, candidate } = options;
  if (!/^[\x21-\x7e]+$/.test(job.source.ehloName)) {
    throw new SessionBroken(
      "ehlo",
      "local",
      `the EHLO name ${JSON.stringify(job.source.ehloName)} is no host name`,
    );
  }
  const channel = await SmtpChannel.connect({
    clock,
    address: candidate.address,
    port: job.port,
    localAddress: job.source.address,
    timeoutMs: timeouts.connectMs,
    signal: job.signal,
  });
  channel.progress = job.progress ?? null;
  options.onChannel(channel);
  const openedAt = clock.now();
  let tls: DeliveryResult["tls"] = null;
  if (job.tls.implicit) tls = await startTls(channel, options, "connect");
  await greeting(channel, timeouts);
  let extensions = await hello(channel, options);
  if (tls === null && !options.plainText) {
    if (extensions.startTls && (await offerAccepted(channel, options))) {
      tls = await startTls(channel, options, "starttls");
      // RFC 3207 §4.2: what was announced in plain text is forgotten.
      extensions = await hello(channel, options);
    } else if (job.tls.mode !== "Opportunistic") {
      throw refuse(channel, "starttls", "tls", "offers no STARTTLS, and TLS is required");
    }
  }
  if (job.auth !== null) await authenticate(channel, options, tls, extensions);
  return { ...candidate, channel, extensions, tls, openedAt, transactions: 0, needsReset: false };
}

async function greeting(channel: SmtpChannel, timeouts: Timeouts): Promise<void> {
  const reply = await channel.reply("greeting", timeouts.greetingMs);
  if (reply.code === 220) return;
  // RFC 5321 §3.1: 554 instead of a greeting means no SMTP service here; another host may have one.
  channel.breakOff("reply", replyText(reply));
  throw new SessionBroken("greeting", "reply", replyText(reply), reply);
}

/** EHLO, or HELO for a peer that knows no EHLO (RFC 5321 §3.2). */
async function hello(channel: SmtpChannel, { job, timeouts }: OpenOptions): Promise<Extensions> {
  channel.send(`EHLO ${job.source.ehloName}\r\n`, 1);
  const raw = await channel.rawReply("ehlo", timeouts.ehloMs);
  const code = codeOf(raw);
  if (code >= 200 && code < 300) return parseExtensions(raw);
  channel.send(`HELO ${job.source.ehloName}\r\n`, 1);
  const reply = await channel.reply("ehlo", timeouts.ehloMs);
  if (reply.code >= 200 && reply.code < 300) return noExtensions;
  channel.breakOff("reply", replyText(reply));
  throw new SessionBroken("ehlo", "reply", replyText(reply), reply);
}

/** Whether the peer goes on with STARTTLS. A refusal is a failure only where TLS is required. */
async function offerAccepted(channel: SmtpChannel, { job, timeouts }: OpenOptions): Promise<boolean> {
  channel.send("STARTTLS\r\n", 1);
  const reply = await channel.reply("starttls", timeouts.ehloMs);
  if (reply.code === 220) return true;
  if (job.tls.mode === "Opportunistic") return false;
  channel.breakOff("reply", replyText(reply));
  throw new SessionBroken("starttls", "reply", replyText(reply), reply);
}

async function startTls(
  channel: SmtpChannel,
  { job, candidate, timeouts, ca }: OpenOptions,
  stage: "connect" | "starttls",
): Promise<NonNullable<DeliveryResult["tls"]>> {
  const name = candidate.host.replaceAll(/^\[(?:ipv6:)?|\]$/gi, "");
  const secured = await channel.upgrade(
    {
      // Whether the certificate is good is asked below: opportunistic TLS takes any (RFC 7435).
      rejectUnauthorized: false,
      host: name,
      ...(isIP(name) === 0 ? { servername: name } : {}),
      minVersion: job.tls.minVersion,
      ...(ca === undefined ? {} : { ca: [...ca] }),
    },
    stage,
    timeouts.tlsMs,
  );
  if (job.tls.mode === "Verify" && !secured.authorized) {
    const why = String(secured.authorizationError ?? "unknown reason");
    throw refuse(channel, stage, "tls", `has no valid certificate for ${name}: ${why}`);
  }
  return {
    version: secured.getProtocol() ?? "unknown",
    cipher: secured.getCipher().name,
    verified: secured.authorized,
  };
}

async function authenticate(
  channel: SmtpChannel,
  { job, timeouts }: OpenOptions,
  tls: DeliveryResult["tls"],
  extensions: Extensions,
): Promise<void> {
  const { username, password } = job.auth ?? { username: "", password: "" };
  // A password in plain text is a password given away (RFC 8314 §4.1).
  if (tls === null) throw refuse(channel, "auth", "tls", "offers no TLS, and credentials need it");
  const base64 = (text: string) => Buffer.from(text, "utf8").toString("base64");
  const ask = (line: string) => {
    channel.send(`${line}\r\n`, 1);
    return channel.reply("auth", timeouts.authMs);
  };
  let reply;
  if (extensions.auth.has("PLAIN")) {
    reply = await ask(`AUTH PLAIN ${base64(`\0${username}\0${password}`)}`);
  } else if (extensions.auth.has("LOGIN")) {
    reply = await ask("AUTH LOGIN");
    if (reply.code === 334) reply = await ask(base64(username));
    if (reply.code === 334) reply = await ask(base64(password));
  } else {
    const offered = [...extensions.auth].join(" ") || "none";
    throw refuse(channel, "auth", "nonsense", `offers neither AUTH PLAIN nor LOGIN (offered: ${offered})`);
  }
  if (reply.code === 235) return;
  channel.breakOff("reply", replyText(reply));
  throw new SessionBroken("auth", "reply", replyText(reply), reply);
}

function refuse(channel: SmtpChannel, stage: SmtpStage, kind: BreakKind, reason: string): SessionBroken {
  channel.breakOff(kind, reason);
  return new SessionBroken(stage, kind, reason);
}
