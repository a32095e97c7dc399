/**
 * The rules of delivery status notifications: who hears of a recipient's fate (RFC 3461), with which status
 * (RFC 3463), and in which words of the peer. Pure.
 */
import type { Instant, LastAttempt, QueuedMessage, Recipient } from "../message.ts";

/** RFC 3464 §2.3.3; lists are not expanded here. */
export type DsnAction = "failed" | "delayed" | "delivered" | "relayed";

export interface DsnRecipient {
  /** As it stands after the event. */
  readonly recipient: Recipient;
  readonly action: DsnAction;
}

/**
 * The address that hears of `event`, or null. RFC 3461 §4.1: NEVER silences all; without NOTIFY failures
 * are told; success and delay only to who asked for them. RFC 5321 §4.5.5: nobody is told of what came
 * with the null reverse-path, or two systems would answer each other for ever.
 */
export function whoHearsOf(
  envelope: QueuedMessage["envelope"],
  recipient: Pick<Recipient, "notify">,
  event: DsnAction,
): string | null {
  const { notify } = recipient;
  if (envelope.from === "" || notify?.includes("NEVER") === true) return null;
  switch (event) {
    case "failed":
      return notify === undefined || notify.includes("FAILURE") ? envelope.from : null;
    case "delayed":
      return notify?.includes("DELAY") === true ? envelope.from : null;
    case "delivered":
    case "relayed":
      return notify?.includes("SUCCESS") === true ? envelope.from : null;
  }
}

/**
 * Whether the whole message is returned: RET=FULL asks for it, and counts only where a recipient failed
 * (RFC 3461 §4.3). Beyond `mostBytes` the header has to do.
 */
export function returnsWholeMessage(
  message: Pick<QueuedMessage, "envelope" | "sizeBytes">,
  actions: readonly DsnAction[],
  mostBytes: number,
): boolean {
  return message.envelope.ret === "FULL" && actions.includes("failed") && message.sizeBytes <= mostBytes;
}

/** The Status field (RFC 3463): what the peer said where that fits the action, else what we know. */
export function statusOf({ recipient, action }: DsnRecipient): string {
  const { state, last } = recipient;
  const given = /^[245]\.\d{1,3}\.\d{1,3}$/.test(last?.enhanced ?? "") ? (last?.enhanced ?? "") : null;
  switch (action) {
    case "delivered":
    case "relayed":
      return given?.startsWith("2") === true ? given : "2.0.0";
    case "delayed":
      return given?.startsWith("4") === true ? given : "4.0.0";
    case "failed":
      // RFC 3463 §3.5: delivery time expired; a failure that was never permanent keeps class 4.
      if (state.kind === "bounced" && state.reason === "Expired") return "4.4.7";
      if (state.kind === "bounced" && state.reason === "Operator") return "5.0.0";
      return given === null || given.startsWith("2") ? "5.0.0" : `5${given.slice(1)}`;
  }
}

/** Date and time as RFC 5322 §3.3 writes them, in UTC. */
export function mailDate(at: Instant): string {
  return new Date(at).toUTCString().replace(/GMT$/, "+0000");
}

/** Code, enhanced code and text of a reply, none of them twice. */
export function replyText(last: Pick<LastAttempt, "code" | "enhanced" | "text">): string {
  let text = last.text.trim();
  for (const prefix of [String(last.code), last.enhanced ?? ""]) {
    if (prefix !== "" && (text === prefix || text.startsWith(`${prefix} `)))
      text = text.slice(prefix.length).trim();
  }
  return [last.code, last.enhanced ?? "", text].filter((piece) => piece !== "").join(" ");
}
