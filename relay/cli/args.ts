/** What was typed → what is meant, or what to say about it. Pure. */
import { readOptions } from "../kit/options.ts";
import type { Parsed } from "./order.ts";

export type Command = "queue" | "show" | "explain";

export interface Order {
  readonly command: Command;
  /** Id, or its first characters; "" for `queue`. */
  readonly id: string;
  readonly json: boolean;
  /** Show ids of waiting messages. */
  readonly ids: boolean;
  readonly state: string | null;
  readonly socket: string | null;
}

const overview = `smtp-relay: what a relay holds, and why

  smtp-relay queue          what waits, by destination: how much, how long, until when, under which rule
  smtp-relay show ID        one message: envelope, header, and each recipient's state
  smtp-relay explain ID     one message: why it waits, until when, what binds next, what was tried
  smtp-relay spool …        a stopped relay's folder: check, dump, export, import (spool --help)

ID is a message's id, or as many of its first characters as make it the only one. It stands in the relay's
log, in the Received field, and in the relay's reply to the client that sent the message.

Which relays are asked:
  --socket PATH             this admin socket (or SMTP_RELAY_ADMIN_SOCKET)
  --state DIR               all pods of local mode with this state folder (or SMTP_RELAY_STATE)
  otherwise                 the nearest .smtp-relay folder, from here upwards; else, in a pod, its own relay

  --json                    for programs: the answer of each pod as it came
  --help                    this, or with a command: more about it
`;

const helpOf: Readonly<Record<Command, string>> = {
  queue: `smtp-relay queue [--ids] [--json] [--state DIR | --socket PATH]

What waits, one line a destination, all pods together:

  SITE           the MX hosts it goes to, or its domain before they are known
  PROVIDER       who runs them, when that is known
  QUEUED         recipients that wait
  OLDEST         how long the oldest of them has waited
  NEXT TRY       when the next of them is tried; "in flight" when that is now
  BINDING RULE   the one rule that keeps most of them from going now

  --ids          adds the ids of the oldest messages of each line, for show and explain
  --json         for programs
`,
  show: `smtp-relay show ID [--json] [--state DIR | --socket PATH]

One queued message: who sent it, its header, and for each recipient its state, attempts and last answer.
ID may be its first characters. A message is queued until each recipient was delivered to or bounced.
`,
  explain: `smtp-relay explain ID [--json] [--state DIR | --socket PATH]

Why one message waits:

  accepted   when, by which pod, from whom
  waiting    who, since when, when it is tried next, when we give up
  because    the rule that binds now, with its number and origin; then the limits that would bind next
  tried      the last attempt: from which source, at which host, with what answer

ID may be its first characters.
`,
};

const seeHelp = 'Try "smtp-relay --help".';

export function parseOrder(argv: readonly string[]): Parsed<Order> {
  const typed = readOptions({
    args: [...argv],
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      json: { type: "boolean" },
      ids: { type: "boolean" },
      state: { type: "string" },
      socket: { type: "string" },
    },
  });
  if ("fault" in typed) return { kind: "wrong", reason: `${typed.fault}. ${seeHelp}` };
  const { values, positionals } = typed;
  const [first, ...rest] = positionals;
  const command = first === "help" ? rest.shift() : first;
  if (command === undefined) {
    if (values.help === true || first === "help") return { kind: "help", text: overview };
    return { kind: "wrong", reason: `Say what to look at: queue, show ID or explain ID. ${seeHelp}` };
  }
  if (command !== "queue" && command !== "show" && command !== "explain") {
    return {
      kind: "wrong",
      reason: `There is no command "${command}": there are queue, show and explain. ${seeHelp}`,
    };
  }
  if (values.help === true || first === "help") return { kind: "help", text: helpOf[command] };
  if (values.state !== undefined && values.socket !== undefined) {
    return { kind: "wrong", reason: `Give --state or --socket, not both. ${seeHelp}` };
  }
  const [id, extra] = rest;
  if (command === "queue" && id !== undefined) {
    return { kind: "wrong", reason: `"queue" takes no ID; "explain ${id}" says why that message waits.` };
  }
  if (command !== "queue" && id === undefined) {
    return {
      kind: "wrong",
      reason: `"${command}" needs the ID of a message: "smtp-relay queue --ids" lists some.`,
    };
  }
  if (extra !== undefined)
    return { kind: "wrong", reason: `"${command}" takes one ID, not also "${extra}".` };
  if (id !== undefined && !/^[0-9A-Za-z]{1,64}$/.test(id)) {
    return {
      kind: "wrong",
      reason: `"${id}" is no message id: those are letters and digits, such as 01JDCZ….`,
    };
  }
  return {
    kind: "order",
    order: {
      command,
      // Ids are ULIDs (Crockford base 32): case does not matter to a person.
      id: (id ?? "").toUpperCase(),
      json: values.json === true,
      ids: values.ids === true,
      state: values.state ?? null,
      socket: values.socket ?? null,
    },
  };
}
