/**
 * What a message needs and this peer does not offer: answered in the peer's place, permanently, before
 * a byte of it is sent. REQUIRETLS is asked of the session (deliver.ts tries the next host first).
 */
import type { Readable } from "node:stream";

import type { Outcome } from "../../message.ts";
import type { DeliveryJob } from "../delivery.ts";
import { isAscii, wantsUtf8 } from "./envelopeCommands.ts";
import { ownReply } from "./replies.ts";
import type { Session } from "./session.ts";

/** Whether any is in doubt: most messages need nothing, and are not looked at further. */
export function mayLackNeeds(session: Session, job: DeliveryJob): boolean {
  const { sizeLimitBytes, smtpUtf8 } = session.extensions;
  return (sizeLimitBytes !== null && job.sizeBytes > sizeLimitBytes) || (!smtpUtf8 && wantsUtf8(job));
}

/** Outcomes by index of recipient; a recipient without one may be sent to. */
export async function unmetNeeds(
  session: Session,
  job: DeliveryJob,
  pending: readonly number[],
): Promise<ReadonlyMap<number, Outcome>> {
  const refused = new Map<number, Outcome>();
  const refuseAll = (code: number, enhanced: string, text: string) => {
    const outcome: Outcome = { kind: "replied", stage: "mail", reply: ownReply(code, enhanced, text) };
    for (const index of pending) refused.set(index, outcome);
    return refused;
  };
  const limit = session.extensions.sizeLimitBytes;
  if (limit !== null && job.sizeBytes > limit) {
    // RFC 1870 §6.1: a message larger than the announced size would be refused for certain.
    const text = `the message of ${job.sizeBytes} bytes is larger than the ${limit} bytes that ${session.host} takes`;
    return refuseAll(552, "5.3.4", text);
  }
  if (session.extensions.smtpUtf8 || !wantsUtf8(job)) return refused;
  const lacking = `${session.host} does not offer SMTPUTF8`;
  if (!isAscii(job.envelope.from)) {
    return refuseAll(550, "5.6.7", `the sender's address needs SMTPUTF8: ${lacking}`);
  }
  // RFC 6531 §3.2: what is flagged but all ASCII may go without; the flag alone does not tell.
  if (job.envelope.smtpUtf8 && !(await hasAsciiHeader(job.content()))) {
    return refuseAll(550, "5.6.9", `the header needs SMTPUTF8: ${lacking}`);
  }
  for (const index of pending) {
    if (isAscii(job.recipients[index]?.address ?? "")) continue;
    const reply = ownReply(550, "5.6.7", `the recipient's address needs SMTPUTF8: ${lacking}`);
    refused.set(index, { kind: "replied", stage: "rcpt", reply });
  }
  return refused;
}

/** Whether a session may carry a message that must be protected all the way (RFC 8689 §4.2.1). */
export function meetsRequireTls(session: Session, job: DeliveryJob): boolean {
  if (!job.envelope.requireTls) return true;
  return session.tls?.verified === true && session.extensions.requireTls;
}

async function hasAsciiHeader(content: Readable): Promise<boolean> {
  let before = "";
  for await (const chunk of content) {
    const text = Buffer.from(chunk as Uint8Array).toString("latin1");
    const joined = before + text;
    const end = joined.indexOf("\r\n\r\n");
    const header = end < 0 ? text : joined.slice(0, end);
    if (!isAscii(header)) return false;
    if (end >= 0) return true;
    before = joined.slice(-3);
  }
  return true;
}
