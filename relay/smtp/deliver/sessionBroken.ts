/**
 * The end of a session before its time: where, by whom, and in words. Thrown within deliver/ only; past
 * it there are outcomes.
 */
import type { Reply, SmtpStage } from "../../message.ts";
import { unbound } from "../bindFault.ts";

/**
 * Who or what ended it. `local`: this machine or this relay, so that it says nothing about the site.
 * `unbound`: the same, because the machine does not have the source's address.
 */
export type BreakKind = "refused" | "closed" | "timeout" | "nonsense" | "tls" | "reply" | "local" | "unbound";

export class SessionBroken extends Error {
  override readonly name = "SessionBroken";
  readonly stage: SmtpStage;
  readonly kind: BreakKind;
  /** The reply that ended it (421, a refused greeting), when one did. */
  readonly reply: Reply | null;

  constructor(stage: SmtpStage, kind: BreakKind, reason: string, reply: Reply | null = null) {
    super(reason);
    this.stage = stage;
    this.kind = kind;
    this.reply = reply;
  }
}

/** Errors of connect(2) and bind(2) that speak of this machine. */
const localCodes = new Set(["EADDRNOTAVAIL", "EADDRINUSE", "EACCES", "EPERM", "EMFILE", "ENFILE", "EINVAL"]);

const errorTexts: Readonly<Record<string, string>> = {
  ECONNREFUSED: "refused the connection",
  ECONNRESET: "reset the connection",
  EPIPE: "closed the connection",
  ETIMEDOUT: "did not answer (network time-out)",
  EHOSTUNREACH: "cannot be reached (no route to host)",
  ENETUNREACH: "cannot be reached (network unreachable)",
};

/** What an error of a socket means, for a connection from `localAddress` (null: the system chose). */
export function socketFault(
  error: NodeJS.ErrnoException,
  localAddress: string | null,
): { readonly kind: BreakKind; readonly reason: string } {
  const code = error.code ?? "";
  if (!localCodes.has(code))
    return { kind: "refused", reason: errorTexts[code] ?? `failed: ${error.message}` };
  return {
    kind: code === "EADDRNOTAVAIL" && localAddress !== null ? "unbound" : "local",
    reason: unbound(localAddress ?? "this machine", code),
  };
}

/** Whether the end says nothing about the site. */
export function isOurs({ kind }: SessionBroken): boolean {
  return kind === "local" || kind === "unbound";
}

export const ENDED_BY_US = "the attempt was ended by this relay";

export function tlsFault(error: Error): string {
  const { reason, code } = error as Error & { reason?: string; code?: string };
  return (reason ?? code ?? error.message).slice(0, 200);
}

export function seconds(milliseconds: number): string {
  return `${milliseconds / 1000} s`;
}
