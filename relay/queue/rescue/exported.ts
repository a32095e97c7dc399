/**
 * A queued message outside of any spool: its content as an .eml file, and beside it everything else as JSON.
 * The JSON is a promise to people and their scripts (docs/runbooks/broken-disk.md): fields are added, never
 * changed, and `format` is raised if that cannot be kept.
 */
import { z } from "zod";

import { isUlid } from "../../kit/ulid.ts";
import type { QueuedMessage, RecipientState } from "../../message.ts";

export const EXPORT_FORMAT = 1;

const instant = z.iso.datetime();
const last = z.object({
  at: instant,
  source: z.string().nullable(),
  host: z.string().nullable(),
  code: z.int(),
  enhanced: z.string().nullable(),
  text: z.string(),
  rule: z.string(),
});

const recipient = z.object({
  address: z.string(),
  domain: z.string(),
  notify: z.array(z.enum(["NEVER", "SUCCESS", "FAILURE", "DELAY"])).optional(),
  orcpt: z.string().optional(),
  state: z.enum(["waiting", "delivered", "bounced"]),
  /** Due, delivered or bounced at. */
  at: instant,
  reason: z.enum(["Refused", "Expired", "Operator"]).optional(),
  attempts: z.int().nonnegative(),
  last: last.nullable(),
});

export const exportedMessage = z.object({
  format: z.literal(EXPORT_FORMAT),
  id: z.string().refine(isUlid),
  receivedAt: instant,
  expiresAt: instant,
  from: z.string(),
  ret: z.enum(["FULL", "HDRS"]).optional(),
  envid: z.string().optional(),
  smtpUtf8: z.boolean(),
  eightBitMime: z.boolean(),
  requireTls: z.boolean(),
  credential: z.string().nullable(),
  queueClass: z.string().optional(),
  sendingDomain: z.string().nullable(),
  sizeBytes: z.int().nonnegative(),
  headerBytes: z.int().nonnegative(),
  bodyHash: z.string(),
  recipients: z.array(recipient).min(1),
});
export type ExportedMessage = z.infer<typeof exportedMessage>;

/** Use of allowances, so that an import does not make a warm-up spend a day twice. */
export const exportedSpool = z.object({
  format: z.literal(EXPORT_FORMAT),
  createdAt: instant.nullable(),
  usage: z.array(z.object({ counter: z.string(), taken: z.number() })),
});
export type ExportedSpool = z.infer<typeof exportedSpool>;

const iso = (at: number) => new Date(at).toISOString();

export function toExported(message: QueuedMessage): ExportedMessage {
  const { envelope, recipients, id, credential, sendingDomain, queueClass } = message;
  const { sizeBytes, headerBytes, bodyHash } = message;
  return {
    format: EXPORT_FORMAT,
    id,
    receivedAt: iso(message.receivedAt),
    expiresAt: iso(message.expiresAt),
    ...envelope,
    ...{ credential, sendingDomain, sizeBytes, headerBytes, bodyHash },
    ...(queueClass === undefined ? {} : { queueClass }),
    recipients: recipients.map(({ state, last: before, notify, ...rest }) => ({
      ...rest,
      ...(notify === undefined ? {} : { notify: [...notify] }),
      state: state.kind,
      at: iso(state.kind === "waiting" ? state.dueAt : state.at),
      ...(state.kind === "bounced" ? { reason: state.reason } : {}),
      last: before === null ? null : { ...before, at: iso(before.at) },
    })),
  };
}

export function fromExported(exported: ExportedMessage): QueuedMessage {
  const { format: _, recipients, receivedAt, expiresAt, ...rest } = exported;
  const { from, ret, envid, smtpUtf8, eightBitMime, requireTls, queueClass, ...others } = rest;
  return {
    ...others,
    ...(queueClass === undefined ? {} : { queueClass }),
    receivedAt: Date.parse(receivedAt),
    expiresAt: Date.parse(expiresAt),
    envelope: {
      ...{ from, smtpUtf8, eightBitMime, requireTls },
      ...(ret === undefined ? {} : { ret }),
      ...(envid === undefined ? {} : { envid }),
    },
    recipients: recipients.map(({ state, at, reason, last: before, notify, orcpt, ...own }) => ({
      ...own,
      ...(notify === undefined ? {} : { notify }),
      ...(orcpt === undefined ? {} : { orcpt }),
      state: stateOf(state, Date.parse(at), reason),
      last: before === null ? null : { ...before, at: Date.parse(before.at) },
    })),
  };
}

function stateOf(
  kind: RecipientState["kind"],
  at: number,
  reason: "Refused" | "Expired" | "Operator" = "Refused",
): RecipientState {
  switch (kind) {
    case "waiting":
      return { kind, dueAt: at };
    case "delivered":
      return { kind, at };
    case "bounced":
      return { kind, at, reason };
  }
}
