/**
 * Mail that goes on while other things happen: one message after the other to the doors of a relay, each with a
 * number, so that what was taken and what arrived can be compared to the message.
 */
import { createTransport } from "nodemailer";

import { API_VERSION } from "../../../crds/group.ts";
import { INBOX, type Outside } from "./outside.ts";
import type { RawApi } from "./rawApi.ts";

/** How an application reaches the relay: what its Secret says, and where the doors are now. */
export interface Account {
  readonly username: string;
  readonly password: string;
  /** PEM, trusted. */
  readonly certificate: string;
  readonly hostname: string;
}

/** What an application of the relay `mail` is told, where the operator made credential and certificate. */
export async function accountOf(api: Pick<RawApi, "get">, namespace: string): Promise<Account> {
  const secret = await api.get("v1", "Secret", "mail-app", namespace);
  const relay = await api.get(API_VERSION, "SmtpRelay", "mail", namespace);
  const data = (secret?.["data"] ?? {}) as Record<string, string>;
  const text = (key: string) => Buffer.from(data[key] ?? "", "base64").toString();
  return {
    username: text("username"),
    password: text("password"),
    certificate: text("ca.crt"),
    hostname: ((relay?.["spec"] ?? {}) as { hostname?: string }).hostname ?? "",
  };
}

export interface Door {
  readonly host: string;
  readonly port: number;
}

export interface TrafficOptions {
  readonly account: Account;
  readonly doors: () => readonly Door[] | Promise<readonly Door[]>;
  readonly outside: Outside;
  readonly from: string;
  /** Tells one traffic from another of the same test. */
  readonly name: string;
}

export interface Traffic {
  /** Sends one; the number it was taken under. Rejects when it is not taken. */
  send(): Promise<string>;
  /** Sends so many a second until told to stop; who is not taken is noted. Resolves when the last is done. */
  flow(perSecond: number): { stop(): Promise<void> };
  /** Numbers answered with 250. */
  readonly accepted: readonly string[];
  /** What was said to those that were not. */
  readonly refused: readonly string[];
  /** Taken and not arrived. */
  missing(): readonly string[];
  /** Arrived more than once, with how often. */
  doubled(): ReadonlyMap<string, number>;
}

const PATIENCE_MS = 20_000;

export function startTraffic({ account, doors, outside, from, name }: TrafficOptions): Traffic {
  const accepted: string[] = [];
  const refused: string[] = [];
  let numbered = 0;
  let turn = 0;

  const send = async (): Promise<string> => {
    const open = await doors();
    const door = open[turn++ % Math.max(1, open.length)];
    if (door === undefined) throw new Error("Cannot send: no pod of the relay takes mail.");
    numbered += 1;
    const number = `${name}-${numbered}`;
    const transport = createTransport({
      ...door,
      requireTLS: true,
      auth: { user: account.username, pass: account.password },
      tls: { ca: account.certificate, servername: account.hostname },
      connectionTimeout: PATIENCE_MS,
      greetingTimeout: PATIENCE_MS,
      socketTimeout: PATIENCE_MS,
    });
    try {
      await transport.sendMail({ from, to: `someone@${INBOX}`, subject: number, text: "hello" });
    } finally {
      transport.close();
    }
    accepted.push(number);
    return number;
  };
  const arrived = (): Map<string, number> => {
    const counts = new Map<string, number>();
    for (const { content } of outside.arrivals) {
      const number = /^Subject: (.*)\r$/m.exec(content.toString("latin1"))?.[1] ?? "";
      if (number.startsWith(`${name}-`)) counts.set(number, (counts.get(number) ?? 0) + 1);
    }
    return counts;
  };
  return {
    send,
    flow(perSecond) {
      const stopping = new AbortController();
      const flowing = (async () => {
        while (!stopping.signal.aborted) {
          await send().catch((error: unknown) => refused.push(String(error)));
          await new Promise((resolve) => setTimeout(resolve, 1000 / perSecond));
        }
      })();
      return {
        async stop() {
          stopping.abort();
          await flowing;
        },
      };
    },
    accepted,
    refused,
    missing() {
      const there = arrived();
      return accepted.filter((number) => !there.has(number));
    },
    doubled: () => new Map([...arrived()].filter(([, count]) => count > 1)),
  };
}
