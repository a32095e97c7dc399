/**
 * Logs: one JSON object a line on standard error, with bound fields.
 *
 * Mail addresses go through `address()` and nowhere else, so that `spec.privacy.addressesInLogs` holds;
 * fields whose names speak of secrets are dropped.
 */
import { hash } from "node:crypto";

import type { Clock } from "./clock.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export type AddressPrivacy = "Plain" | "Hashed" | "Omitted";
/** Every line has a time, a level and a message of its own: a field by that name would hide it. */
export interface LogFields {
  readonly [field: string]: unknown;
  readonly time?: never;
  readonly level?: never;
  readonly message?: never;
}

export interface Log {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same log with these fields on every line. */
  with(fields: LogFields): Log;
  /** A mail address as the privacy setting in force lets it be written. */
  address(mailbox: string): string;
}

const ranks: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 };
const secretName = /pass(word)?$|secret|private|token/i;
/** A line longer than this is cut: a log is not a place for messages. */
const LONGEST_FIELD = 2048;

export interface LogOptions {
  readonly clock: Clock;
  readonly level: LogLevel;
  readonly write: (line: string) => void;
  /** Asked at each address, so that a changed configuration holds at once. */
  readonly privacy: () => AddressPrivacy;
}

export function createLog(options: LogOptions, bound: LogFields = {}): Log {
  const line =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      if (ranks[level] < ranks[options.level]) return;
      let text = `{"time":"${isoTime(options.clock.now())}","level":"${level}","message":${JSON.stringify(message)}`;
      for (const key in bound) if (!(key in fields)) text += member(key, bound[key]);
      for (const key in fields) text += member(key, fields[key]);
      options.write(`${text}}\n`);
    };
  return {
    debug: line("debug"),
    info: line("info"),
    warn: line("warn"),
    error: line("error"),
    with: (fields) => createLog(options, { ...bound, ...fields }),
    address: (mailbox) => maskAddress(mailbox, options.privacy()),
  };
}

/** A log that keeps nothing, for tests that do not look at it. */
export const silentLog: Log = createLog({
  clock: { now: () => 0, after: () => () => {} },
  level: "error",
  write: () => {},
  privacy: () => "Omitted",
});

/** Hashed: the same address gives the same 12 characters, so that a person can follow one recipient. */
export function maskAddress(mailbox: string, privacy: AddressPrivacy): string {
  switch (privacy) {
    case "Plain":
      return mailbox;
    case "Hashed":
      return `#${hash("sha256", mailbox.toLowerCase(), "hex").slice(0, 12)}`;
    case "Omitted":
      return "(omitted)";
  }
}

/** Names of fields are few and written in our source: each is judged and quoted once. */
const quotedNames = new Map<string, string>();

/** `,"name":value`, or nothing for what is not to be told. */
function member(name: string, value: unknown): string {
  let quoted = quotedNames.get(name);
  if (quoted === undefined) {
    quoted = secretName.test(name) ? "" : `,${JSON.stringify(name)}:`;
    quotedNames.set(name, quoted);
  }
  if (quoted === "" || value === undefined) return "";
  if (typeof value === "number") return quoted + (Number.isFinite(value) ? String(value) : "null");
  return `${quoted}${JSON.stringify(printable(value)) ?? "null"}`;
}

let lastTime = { at: Number.NaN, text: "" };

/** Lines of one millisecond share their time. */
function isoTime(at: number): string {
  if (at !== lastTime.at) lastTime = { at, text: new Date(at).toISOString() };
  return lastTime.text;
}

function printable(value: unknown): unknown {
  if (value instanceof Error) {
    return value.cause === undefined ? value.message : `${value.message}: ${String(printable(value.cause))}`;
  }
  if (typeof value === "string" && value.length > LONGEST_FIELD) return `${value.slice(0, LONGEST_FIELD)}…`;
  return value;
}
