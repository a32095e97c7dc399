/**
 * The part of a delivery status notification that a person reads: which recipient, what was answered, what
 * it means, in plain words and short lines. Pure.
 */
import type { QueuedMessage, Recipient } from "../message.ts";
import { type DsnAction, type DsnRecipient, mailDate, replyText } from "./dsn.ts";
import { oneLine, wrapped } from "./fieldText.ts";

export interface BounceTextOrder {
  readonly hostname: string;
  readonly message: QueuedMessage;
  readonly recipients: readonly DsnRecipient[];
  readonly original: "message" | "header";
}

const titles: readonly (readonly [DsnAction, string])[] = [
  ["failed", "Your message could not be delivered to:"],
  ["delayed", "Your message has not been delivered yet, and you need do nothing, to:"],
  ["delivered", "Your message was delivered to:"],
  ["relayed", "Your message was handed on to a system that sends no further notices, for:"],
];

/** Clean lines without their ends. */
export function bounceText(order: BounceTextOrder): string[] {
  const { hostname, message, recipients } = order;
  const lines = [...wrapped(`This is the mail system at ${oneLine(hostname)}.`, ""), ""];
  for (const [action, title] of titles) {
    const told = recipients.filter((entry) => entry.action === action);
    if (told.length === 0) continue;
    lines.push(...wrapped(title, ""), "");
    for (const { recipient } of told) {
      lines.push(...wrapped(`<${oneLine(recipient.address)}>`, "  "));
      for (const paragraph of explain(recipient, action, message)) lines.push(...wrapped(paragraph, "    "));
      lines.push("");
    }
  }
  lines.push(
    ...wrapped(
      `It was accepted here on ${mailDate(message.receivedAt)} as ${message.id}. A report for programs and ${
        order.original === "message" ? "your message are" : "the header of your message are"
      } attached.`,
      "",
    ),
  );
  return lines;
}

function explain(recipient: Recipient, action: DsnAction, message: QueuedMessage): string[] {
  const { state, last } = recipient;
  const why = last === null ? [] : [lastWords(recipient)];
  switch (action) {
    case "delivered":
      return [];
    case "relayed":
      return last?.host == null ? [] : [`Accepted by ${oneLine(last.host)}.`];
    case "delayed":
      return [...why, `It is tried again until ${mailDate(message.expiresAt)}.`];
    case "failed":
      break;
  }
  if (state.kind === "bounced" && state.reason === "Operator") {
    return ["The operator of this system took it out of the queue.", ...why];
  }
  if (state.kind === "bounced" && state.reason === "Expired") {
    return [
      `It was tried ${recipient.attempts === 1 ? "once" : `${recipient.attempts} times`} for ${spanOf(state.at - message.receivedAt)} and is given up.`,
      ...why,
    ];
  }
  return why.length > 0 ? why : ["It was refused."];
}

function lastWords({ last }: Recipient): string {
  if (last === null) return "";
  if (last.code === 0) return `The last attempt failed: ${oneLine(last.text)}`;
  const who = last.host === null ? "The receiving server" : `The server ${oneLine(last.host)}`;
  return `${who} answered: ${oneLine(replyText(last))}`;
}

/** "5 days", "3 hours", "12 minutes": the largest unit of which there are two, or minutes. */
function spanOf(milliseconds: number): string {
  const minutes = Math.max(1, Math.round(milliseconds / 60_000));
  for (const [unit, length] of [
    ["days", 1440],
    ["hours", 60],
  ] as const) {
    if (minutes >= 2 * length) return `${Math.round(minutes / length)} ${unit}`;
  }
  return minutes === 1 ? "a minute" : `${minutes} minutes`;
}
