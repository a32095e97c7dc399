/**
 * Who may send as whom: the rules that keep this from being an open relay. Pure.
 *
 * A submitter is a credential or a client of a trusted network, never nobody. Both may only use domains of
 * this relay's configuration, in the envelope and in the header From alike, and a credential only those it
 * names. Recipients are free: sending to strangers is what a relay is for, once we know who sends.
 */
import type { Credential, SendingDomainConfig } from "../contract/config.ts";
import { CLASS_FIELD, classify, type QueueClass, type QueueClasses } from "../policy/queueClass.ts";
import type { Mailbox } from "./mailbox.ts";
import { type Refusal, refusal } from "./refusal.ts";

/** `credential` is null for a client of a trusted network. */
export interface Submitter {
  readonly credential: Credential | null;
}

/** Domains of this relay by name, lower case A-labels. */
export type SendingDomains = ReadonlyMap<string, SendingDomainConfig>;

export function sendingDomains(domains: readonly SendingDomainConfig[]): SendingDomains {
  return new Map(domains.map((domain) => [domain.domain.toLowerCase(), domain]));
}

/** Judges MAIL FROM; null is the null reverse-path. */
export function judgeSender(
  domains: SendingDomains,
  submitter: Submitter,
  sender: Mailbox | null,
): Refusal | undefined {
  if (sender === null) {
    // RFC 5321 §4.5.5: it belongs to notices of mail systems; ours are made here, others go elsewhere.
    return refusal(550, "5.7.1", "The null sender is not taken from clients, send from an address of yours");
  }
  return judgeDomain(domains, submitter, sender, "sender");
}

/** Judges every mailbox of the header From (receivers show it, so it must not lie). */
export function judgeAuthors(
  domains: SendingDomains,
  submitter: Submitter,
  mailboxes: readonly Mailbox[],
): Refusal | undefined {
  for (const mailbox of mailboxes) {
    const why = judgeDomain(domains, submitter, mailbox, "From field");
    if (why !== undefined) return why;
  }
  return undefined;
}

/**
 * The queue class of a message: what its header field says (`value`, null without one), else its
 * credential's. A client of a trusted network may name any.
 */
export function judgeClass(
  classes: QueueClasses,
  { credential }: Submitter,
  value: string | null,
): QueueClass | Refusal {
  const found = classify(classes, value, credential?.queueClass);
  switch (found.kind) {
    case "classified":
      return found.queueClass;
    case "unknown": {
      const known = found.known.slice(0, 20).join(", ");
      // RFC 3463 X.6.0: other or undefined media error, as for every header that cannot be taken.
      return refusal(
        554,
        "5.6.0",
        `${CLASS_FIELD} names ${quoted(found.named)}, which is no class of this relay (${known})`,
      );
    }
    case "above":
      return refusal(
        550,
        "5.7.1",
        `${CLASS_FIELD} names ${found.named.name} (${found.named.priority}), the credential ${credential?.name} may send up to ${found.own.priority}`,
      );
  }
}

/** A stranger's words in a reply: short, printable, in quotes. */
function quoted(text: string): string {
  return JSON.stringify(text.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 64));
}

function judgeDomain(
  domains: SendingDomains,
  { credential }: Submitter,
  mailbox: Mailbox,
  place: "sender" | "From field",
): Refusal | undefined {
  if (mailbox.isLiteral) {
    return refusal(553, "5.1.7", `The ${place} has an address literal, it needs a domain`);
  }
  const domain = domains.get(mailbox.domain);
  if (domain === undefined) {
    const text = `The domain ${mailbox.domain} of the ${place} is not one this relay sends for`;
    return refusal(place === "sender" ? 553 : 550, "5.7.1", text);
  }
  if (credential !== null && !mayUse(credential, mailbox.domain)) {
    return refusal(
      550,
      "5.7.1",
      `The credential ${credential.name} may not send from ${mailbox.domain}, the domain of the ${place}`,
    );
  }
  if (domain.state === "Held") {
    return refusal(451, "4.7.1", `Mail from ${mailbox.domain} is held: ${domain.reason}`);
  }
  return undefined;
}

function mayUse(credential: Credential, domain: string): boolean {
  return credential.domains.length === 0 || credential.domains.some((own) => own.toLowerCase() === domain);
}
