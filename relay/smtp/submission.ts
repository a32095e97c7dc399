/**
 * Who may send as whom: the rules that keep this from being an open relay. Pure.
 *
 * A submitter is a credential or a client of a trusted network, never nobody. Both may only use domains of
 * this relay's configuration, in the envelope and in the header From alike, and a credential only those it
 * names. Recipients are free: sending to strangers is what a relay is for, once we know who sends.
 */
import type { Credential, SendingDomainConfig } from "../contract/config.ts";
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
