/**
 * A body without an envelope, as `spool export` writes it and `spool import` takes it: what its header fields say
 * is told, and nothing is made of it: who it goes to, a person writes in by hand.
 */
import { z } from "zod";

import { isUlid, ulidTime } from "../../kit/ulid.ts";
import type { Instant, QueuedMessage } from "../../message.ts";
import { EXPORT_FORMAT, toExported } from "../../queue/rescue/exported.ts";
import type { LostBody } from "../../queue/rescue/lostBodies.ts";
import { createBodyHash } from "../../smtp/bodyHash.ts";
import { parseHeader } from "../../smtp/header.ts";

/** As long as mail is tried that says nothing else (RFC 5321 §4.5.4.1: at least 4 to 5 days). */
const EXPIRES_AFTER_MS = 5 * 86_400_000;
/** Fields that help to find out whose it was. */
const told = ["received", "from", "sender", "to", "cc", "subject", "date", "message-id"];
/** Each of them, and all `Received`: an attack on the reader's screen is none of ours. */
const LONGEST_VALUE = 998;
const MOST_RECEIVED = 5;

export const lostMessage = z.object({
  format: z.literal(EXPORT_FORMAT),
  id: z.string().refine(isUlid),
  envelope: z.literal("lost"),
  /** To be written in by hand: "" is the null reverse-path. */
  from: z.string().max(512).nullable(),
  recipients: z
    .array(
      z
        .string()
        .max(512)
        .regex(/^[^\s@][^\s]*@[^\s@]+$/, "is no address"),
    )
    .max(10_000),
});
export type LostMessage = z.infer<typeof lostMessage>;

/** What is written beside the .eml. */
export function toLost(body: LostBody, content: Buffer) {
  const about = { fact: body.fact, foundIn: body.file };
  if (body.message !== null) return { ...toExported(body.message), envelope: "asAccepted", ...about };
  return {
    format: EXPORT_FORMAT,
    id: body.id,
    envelope: "lost",
    ...about,
    acceptedAt: new Date(ulidTime(body.id)).toISOString(),
    sizeBytes: body.sizeBytes,
    header: headerFacts(content),
    /** What could be read where the envelope was. */
    remains: [...body.remains.toString("latin1").matchAll(/[\x20-\x7e]{6,}/g)]
      .map(([text]) => text)
      .slice(0, 32),
    from: null,
    recipients: [],
  };
}

/** Field names in lower case; a list for those that may be there more than once. */
function headerFacts(content: Buffer): Record<string, string[]> {
  const facts: Record<string, string[]> = {};
  for (const { key, value } of parseHeader(headerOf(content)).fields) {
    if (!told.includes(key)) continue;
    const values = (facts[key] ??= []);
    if (values.length < MOST_RECEIVED) values.push(value.slice(0, LONGEST_VALUE));
  }
  return facts;
}

/** Up to the empty line, which belongs to it; all of a content that has none. */
function headerOf(content: Buffer): Buffer {
  const end = content.indexOf("\r\n\r\n");
  return end === -1 ? content : content.subarray(0, end + 4);
}

/** The message as it is to be queued. Throws while it is not said where it goes. */
export function fromLost(lost: LostMessage, content: Buffer, now: Instant): QueuedMessage {
  const { id, from, recipients } = lost;
  if (from === null || recipients.length === 0) {
    throw new Error(
      `its envelope is lost. Write "from" and "recipients" (plain addresses) into ${id}.json, where its "header" may help, or take both files away`,
    );
  }
  const header = headerOf(content);
  const hash = createBodyHash();
  hash.update(content.subarray(header.length));
  const isAscii = (bytes: Buffer) => bytes.every((byte) => byte < 0x80);
  const addresses = [from, ...recipients].join("");
  return {
    id,
    receivedAt: ulidTime(id),
    expiresAt: now + EXPIRES_AFTER_MS,
    envelope: {
      from,
      smtpUtf8: !isAscii(header) || !isAscii(Buffer.from(addresses)),
      eightBitMime: !isAscii(content),
      requireTls: false,
    },
    credential: null,
    sendingDomain: from === "" ? null : domainOf(from),
    sizeBytes: content.length,
    headerBytes: header.length,
    bodyHash: hash.digest(),
    recipients: recipients.map((address) => ({
      ...{ address, domain: domainOf(address), attempts: 0, last: null },
      state: { kind: "waiting", dueAt: now },
    })),
  };
}

function domainOf(address: string): string {
  return address.slice(address.lastIndexOf("@") + 1).toLowerCase();
}
