/**
 * Turns a bounce that policy/bounceMessage.ts composes into a message of our own queue: head, the original
 * streamed out of the spool, tail; measured and hashed on the way, as received mail is.
 */
import type { BounceOrder, ComposedBounce } from "./queue/enginePorts.ts";
import type { QueuedMessage } from "./message.ts";
import { composeBounce } from "./policy/bounceMessage.ts";
import { returnsWholeMessage } from "./policy/dsn.ts";
import { classOf, queueClasses } from "./policy/queueClass.ts";
import type { Spool } from "./queue/spool.ts";
import { createBodyHash } from "./smtp/bodyHash.ts";
import { fieldsNamed, parseHeader } from "./smtp/header.ts";

/** RET=FULL is honoured up to this size; a larger original is returned by its header. */
const LARGEST_RETURNED_BYTES = 1024 * 1024;

export async function bounceOf(order: BounceOrder, spool: Spool): Promise<ComposedBounce> {
  const { message, header, config } = order;
  const whole = returnsWholeMessage(
    message,
    order.recipients.map(({ action }) => action),
    LARGEST_RETURNED_BYTES,
  );
  const original = whole ? await readAll(spool, message) : header;
  const messageId = fieldsNamed(parseHeader(header), "Message-ID")[0]?.value.trim();
  const bounce = composeBounce({
    hostname: config.relay.hostname,
    id: order.id,
    at: order.at,
    message,
    recipients: order.recipients,
    original: { kind: whole ? "message" : "header", eightBit: original.some((byte) => byte > 0x7f) },
    ...(messageId === undefined ? {} : { inReplyTo: messageId }),
  });
  const content = Buffer.concat([Buffer.from(bounce.head), original, Buffer.from(bounce.tail)]);
  const headerBytes = content.indexOf("\r\n\r\n") + 4;
  const bodyHash = createBodyHash();
  bodyHash.update(content.subarray(headerBytes));
  const at = bounce.to.lastIndexOf("@");
  return {
    content,
    message: {
      id: order.id,
      receivedAt: order.at,
      // A notice is in the class `default`, whatever the class of the message it speaks of.
      expiresAt: order.at + classOf(queueClasses(config.queue), undefined).expireAfterSeconds * 1000,
      // RFC 5321 §4.5.5: the null reverse-path, so that a bounce is never bounced.
      envelope: {
        from: "",
        smtpUtf8: bounce.smtpUtf8,
        eightBitMime: bounce.eightBitMime,
        requireTls: message.envelope.requireTls,
      },
      credential: null,
      sendingDomain: message.sendingDomain,
      sizeBytes: content.length,
      headerBytes,
      bodyHash: bodyHash.digest(),
      recipients: [
        {
          address: bounce.to,
          domain: bounce.to.slice(at + 1).toLowerCase(),
          state: { kind: "waiting", dueAt: order.at },
          attempts: 0,
          last: null,
        },
      ],
    },
  };
}

async function readAll(spool: Spool, message: QueuedMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of spool.read(message.id)) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}
