/**
 * One mail transaction from MAIL to DATA: what each command says against the configuration in force, and
 * what becomes of it when the content comes. Knows no socket and no library.
 */
import type { Recipient } from "../message.ts";
import type { ContentWriter } from "../queue/spool.ts";
import { tooLarge } from "./content.ts";
import { type MailCommand, parseMail, parseRcpt } from "./pathCommand.ts";
import type { SessionHost } from "./receiveHost.ts";
import { MessageReceiver, type MessageReceiverOptions, storeRefusal } from "./receiveMessage.ts";
import { receivedField, type TraceFacts } from "./received.ts";
import { type Refusal, refusal } from "./refusal.ts";
import { judgeAuthors, judgeClass, judgeSender, type Submitter } from "./submission.ts";

/** MAIL was accepted; recipients gather, by address, until DATA. */
export interface Transaction {
  readonly mail: MailCommand & { readonly sender: NonNullable<MailCommand["sender"]> };
  readonly submitter: Submitter;
  readonly recipients: Map<string, Pick<Recipient, "address" | "domain" | "notify" | "orcpt">>;
}

export const outOfOrder = refusal(503, "5.5.1", "Bad sequence of commands");
export const authRequired = refusal(530, "5.7.0", "Authentication required");

/** MAIL FROM. `submitter` is undefined for a client that is nobody to us. */
export function openTransaction(
  host: SessionHost,
  line: Buffer,
  client: { readonly submitter: Submitter | undefined; readonly secure: boolean },
): Transaction | Refusal {
  if (client.submitter === undefined) {
    return client.secure ? authRequired : refusal(530, "5.7.0", "Authentication required, after STARTTLS");
  }
  const { health } = host.spool;
  if (health.state === "Failed") return storeRefusal(health);
  const parsed = parseMail(line);
  if (!parsed.ok) return parsed.refusal;
  const mail = parsed.command;
  const { messageSizeBytes } = host.config().limits;
  if ((mail.sizeBytes ?? 0) > messageSizeBytes) return tooLarge(messageSizeBytes);
  // RFC 8689 §4.1: asked for where it was not offered.
  if (mail.requireTls && !client.secure) return refusal(530, "5.7.0", "REQUIRETLS needs STARTTLS first");
  const why = judgeSender(host.domains(), client.submitter, mail.sender);
  if (why !== undefined || mail.sender === null) return why ?? outOfOrder;
  return { mail: { ...mail, sender: mail.sender }, submitter: client.submitter, recipients: new Map() };
}

/** RCPT TO. */
export function addRecipient(host: SessionHost, transaction: Transaction, line: Buffer): Refusal | undefined {
  const parsed = parseRcpt(line, transaction.mail.smtpUtf8);
  if (!parsed.ok) return parsed.refusal;
  const { recipient, ...notification } = parsed.command;
  const { address, domain } = recipient;
  // Given twice is given once; the first one's DSN parameters hold.
  if (transaction.recipients.has(address)) return undefined;
  const most = host.config().limits.recipientsPerMessage;
  if (transaction.recipients.size >= most) {
    // RFC 5321 §4.5.3.1.10: 452, so that the client sends the others in a transaction of their own.
    return refusal(452, "4.5.3", `More than ${most} recipients, send the others in another message`);
  }
  transaction.recipients.set(address, { address, domain, ...notification });
  return undefined;
}

/** DATA itself, before anything is opened for it. */
export function readyForContent(transaction: Transaction | undefined, line: Buffer): Refusal | undefined {
  if (transaction === undefined) return outOfOrder;
  if (line.toString("latin1").trim().length > "DATA".length) {
    return refusal(501, "5.5.4", "DATA has no parameters");
  }
  // RFC 5321 §3.3: 503 or 554; the latter says that it was the recipients.
  return transaction.recipients.size === 0 ? refusal(554, "5.5.1", "No valid recipients") : undefined;
}

/** What takes the content and ends with a queued message or a refusal. */
export function receiveMessage(
  host: SessionHost,
  { mail, submitter, recipients }: Transaction,
  session: Pick<MessageReceiverOptions, "writer" | "onProgress" | "onFlood" | "onEnd"> & {
    readonly writer: ContentWriter;
    readonly client: Pick<TraceFacts, "helo" | "clientAddress" | "extended" | "tls">;
  },
): MessageReceiver {
  const { client, ...ports } = session;
  const config = host.config();
  const { hostname } = config.relay;
  const at = host.clock.now();
  const { sender, sizeBytes: _, ...parameters } = mail;
  return new MessageReceiver({
    ...ports,
    log: host.log,
    health: () => host.spool.health,
    rules: {
      id: ports.writer.id,
      at,
      hostname,
      messageSizeBytes: config.limits.messageSizeBytes,
      received: receivedField({
        ...client,
        hostname,
        id: ports.writer.id,
        at,
        authenticated: submitter.credential !== null,
        smtpUtf8: mail.smtpUtf8,
      }),
    },
    judgeFrom: (mailboxes) => judgeAuthors(host.domains(), submitter, mailboxes),
    judgeClass: (value) => judgeClass(host.queueClasses(), submitter, value),
    message: {
      envelope: { from: sender.address, ...parameters },
      credential: submitter.credential?.name ?? null,
      receivedAt: at,
      recipients: [...recipients.values()].map((recipient) => ({
        ...recipient,
        state: { kind: "waiting", dueAt: at },
        attempts: 0,
        last: null,
      })),
    },
  });
}
