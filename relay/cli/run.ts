/**
 * The `smtp-relay` command: asks every relay it finds, puts the answers together, and says which relay
 * did not answer. Exit code 0: answered; 1: not found, or nobody could be asked; 2: typed wrong.
 */
import { z } from "zod";

import {
  adminPaths,
  explanation,
  messageIds,
  messageListing,
  queueListing,
  setAside,
  unreadable,
} from "../contract/admin.ts";
import { type Order, parseOrder } from "./args.ts";
import { ask } from "./ask.ts";
import { type AdminSocket, findSockets, type Surroundings } from "./find.ts";
import { sayInstead, type Voice } from "./order.ts";
import {
  type Page,
  renderExplanation,
  renderMessage,
  renderQueue,
  renderSetAside,
  renderUnreadable,
} from "./render.ts";
import { countOf, listOf } from "./words.ts";

export interface Terminal extends Surroundings, Voice {
  readonly page: () => Page;
}

export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  const parsed = parseOrder(argv);
  if (parsed.kind !== "order") return sayInstead(parsed, terminal);
  const found = findSockets(parsed.order, terminal);
  if (found.kind === "none") {
    terminal.err([found.reason]);
    return 1;
  }
  return parsed.order.command === "queue"
    ? await queue(parsed.order, found.sockets, terminal)
    : await message(parsed.order, found.sockets, terminal);
}

async function queue(order: Order, sockets: readonly AdminSocket[], terminal: Terminal): Promise<number> {
  const { answers, silent } = await askAll(sockets, adminPaths.queue, queueListing);
  const pods = answers.map(({ value }) => value);
  if (order.json) terminal.out([JSON.stringify({ pods, unreachable: silent }, null, 2)]);
  else if (pods.length > 0) terminal.out(renderQueue(pods, pageOf(order, terminal), order.ids));
  report(silent, terminal);
  return answers.length > 0 ? 0 : 1;
}

/** Lines to paste find the same relays as this call did. */
function pageOf(order: Order, terminal: Terminal): Page {
  const page = terminal.page();
  return { ...page, options: placeOf(order) };
}

function placeOf({ state, socket }: Order): string {
  if (state !== null) return ` --state ${state}`;
  return socket === null ? "" : ` --socket ${socket}`;
}

async function message(order: Order, sockets: readonly AdminSocket[], terminal: Terminal): Promise<number> {
  const { answers, silent } = await askAll(sockets, adminPaths.find(order.id), messageIds);
  report(silent, terminal);
  if (answers.length === 0) return 1;
  const fitting = answers.flatMap(({ value, socket }) =>
    value.ids.map((id) => ({ id, pod: value.pod, socket })),
  );
  const exact = fitting.filter(({ id }) => id === order.id);
  const [one, ...others] = exact.length > 0 ? exact : fitting;
  if (one === undefined) {
    const pods = listOf(
      answers.map(({ value }) => value.pod),
      5,
    );
    terminal.err([
      `No message ${order.id} is queued at ${pods}. It may have been delivered or bounced: the relay's log knows ids.`,
    ]);
    return 1;
  }
  if (others.length > 0) {
    const shown = [one, ...others].slice(0, 8).map(({ pod, id }) => `  ${id}  ${pod}`);
    terminal.err([
      `${order.id} fits ${countOf(others.length + 1, "message")}. Give more of its characters:`,
      ...shown,
    ]);
    return 1;
  }
  const path = order.command === "show" ? adminPaths.message(one.id) : adminPaths.explain(one.id);
  const schema = z.union([order.command === "show" ? messageListing : explanation, setAside, unreadable]);
  const asked = await ask(one.socket, path, schema);
  switch (asked.kind) {
    case "silent":
      report([{ pod: one.pod, reason: asked.reason }], terminal);
      return 1;
    case "absent":
      terminal.err([`Message ${one.id} has just left the queue of ${one.pod}: delivered or bounced.`]);
      return 1;
    case "answer": {
      const { value } = asked;
      if (order.json) terminal.out([JSON.stringify(value, null, 2)]);
      else if ("setAsideAt" in value) terminal.out(renderSetAside(value, terminal.page()));
      else if ("next" in value) terminal.out(renderUnreadable(value, terminal.page()));
      else if ("waiting" in value) terminal.out(renderExplanation(value, terminal.page()));
      else terminal.out(renderMessage(value, terminal.page()));
      return 0;
    }
  }
}

interface Silent {
  readonly pod: string;
  readonly reason: string;
}

interface Answered<Value> {
  readonly value: Value;
  readonly socket: AdminSocket;
}

/** Asks all at once. */
async function askAll<Schema extends z.ZodType>(
  sockets: readonly AdminSocket[],
  path: string,
  schema: Schema,
): Promise<{ answers: Answered<z.output<Schema>>[]; silent: Silent[] }> {
  const asked = await Promise.all(
    sockets.map(async (socket) => ({ socket, answer: await ask(socket, path, schema) })),
  );
  const answers: Answered<z.output<Schema>>[] = [];
  const silent: Silent[] = [];
  for (const { socket, answer } of asked) {
    if (answer.kind === "answer") answers.push({ value: answer.value, socket });
    else if (answer.kind === "silent") silent.push({ pod: socket.pod, reason: answer.reason });
    else
      silent.push({ pod: socket.pod, reason: "it does not know this question: it is of an older version" });
  }
  return { answers, silent };
}

function report(silent: readonly Silent[], terminal: Terminal): void {
  for (const { pod, reason } of silent) terminal.err([`${pod} was not asked: ${reason}.`]);
}
