/**
 * MAIL and RCPT as written (RFC 5321 §4.1.1.2 and §4.1.1.3) with the parameters of the extensions we
 * announce: SIZE (RFC 1870), BODY (RFC 6152), SMTPUTF8 (RFC 6531), RET, ENVID, NOTIFY, ORCPT (RFC 3461),
 * REQUIRETLS (RFC 8689) and the AUTH parameter (RFC 4954 §5), which is read and not used. Pure: judges
 * form only; who may send what is submission.ts.
 */
import type { Notify } from "../message.ts";
import { type Mailbox, parseMailbox } from "./mailbox.ts";
import { type Refusal, refusal } from "./refusal.ts";

export interface MailCommand {
  /** Null for the null reverse-path "<>". */
  readonly sender: Mailbox | null;
  /** Declared size in bytes, when there was one. */
  readonly sizeBytes?: number;
  readonly eightBitMime: boolean;
  readonly smtpUtf8: boolean;
  readonly requireTls: boolean;
  readonly ret?: "FULL" | "HDRS";
  /** Decoded from xtext. */
  readonly envid?: string;
}

export interface RcptCommand {
  readonly recipient: Mailbox;
  readonly notify?: readonly Notify[];
  /** As given, still in xtext. */
  readonly orcpt?: string;
}

export type Parsed<T> =
  | { readonly ok: true; readonly command: T }
  | { readonly ok: false; readonly refusal: Refusal };

type Parameters = ReadonlyMap<string, string | undefined>;

/** RFC 3461 §4.4 and §4.2. */
const LONGEST_ENVID = 100;
const LONGEST_ORCPT = 500;
const mailKeywords = new Set(["SIZE", "BODY", "SMTPUTF8", "RET", "ENVID", "REQUIRETLS", "AUTH"]);
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const rcptKeywords = new Set(["NOTIFY", "ORCPT"]);
const notifyWords: readonly string[] = ["NEVER", "SUCCESS", "FAILURE", "DELAY"] satisfies readonly Notify[];

/** Reads "MAIL FROM:<…> …", the line without its end. */
export function parseMail(line: Uint8Array): Parsed<MailCommand> {
  const split = splitCommand(line, /^MAIL +FROM: */i, mailKeywords);
  if (!split.ok) return split;
  const { path, parameters } = split.command;
  const utf8 = flag(parameters, "SMTPUTF8");
  const requireTls = flag(parameters, "REQUIRETLS");
  if (utf8 === undefined || requireTls === undefined) return parameterError("SMTPUTF8 and REQUIRETLS");
  let sender: Mailbox | null = null;
  if (path !== "") {
    const parsed = parseMailbox(path);
    // RFC 3463: X.1.7 is a bad sender mailbox syntax.
    if (!parsed.ok) return failed(refusal(553, "5.1.7", `The sender address ${parsed.reason}`));
    sender = parsed.mailbox;
    const unannounced = needsUtf8(sender, utf8);
    if (unannounced !== undefined) return failed(unannounced);
  }
  const size = parameters.get("SIZE");
  if (parameters.has("SIZE") && !/^\d{1,20}$/.test(size ?? "")) return parameterError("SIZE");
  const body = parameters.get("BODY")?.toUpperCase();
  if (parameters.has("BODY") && body !== "7BIT" && body !== "8BITMIME") return parameterError("BODY");
  const ret = parameters.get("RET")?.toUpperCase();
  if (parameters.has("RET") && ret !== "FULL" && ret !== "HDRS") return parameterError("RET");
  const envid = decodeXtext(parameters.get("ENVID"), LONGEST_ENVID);
  if (parameters.has("ENVID") && envid === undefined) return parameterError("ENVID");
  return {
    ok: true,
    command: {
      sender,
      ...(size === undefined ? {} : { sizeBytes: Number(size) }),
      eightBitMime: body === "8BITMIME",
      smtpUtf8: utf8,
      requireTls,
      ...(ret === "FULL" || ret === "HDRS" ? { ret } : {}),
      ...(envid === undefined ? {} : { envid }),
    },
  };
}

/** Reads "RCPT TO:<…> …"; `smtpUtf8` is what MAIL announced. */
export function parseRcpt(line: Uint8Array, smtpUtf8: boolean): Parsed<RcptCommand> {
  const split = splitCommand(line, /^RCPT +TO: */i, rcptKeywords);
  if (!split.ok) return split;
  const { path, parameters } = split.command;
  const parsed = parseMailbox(path);
  if (!parsed.ok) return failed(refusal(553, "5.1.3", `The recipient address ${parsed.reason}`));
  const unannounced = needsUtf8(parsed.mailbox, smtpUtf8);
  if (unannounced !== undefined) return failed(unannounced);
  const notify = readNotify(parameters.get("NOTIFY"));
  if (parameters.has("NOTIFY") && notify === undefined) return parameterError("NOTIFY");
  const orcpt = parameters.get("ORCPT");
  if (parameters.has("ORCPT") && !isOrcpt(orcpt)) return parameterError("ORCPT");
  return {
    ok: true,
    command: {
      recipient: parsed.mailbox,
      ...(notify === undefined ? {} : { notify }),
      ...(orcpt === undefined ? {} : { orcpt }),
    },
  };
}

/** Verb, path without its brackets, and parameters by upper-case keyword. */
function splitCommand(
  line: Uint8Array,
  verb: RegExp,
  known: ReadonlySet<string>,
): Parsed<{ path: string; parameters: Parameters }> {
  let text: string;
  try {
    text = strictUtf8.decode(line);
  } catch {
    return failed(refusal(501, "5.5.2", "The command is not valid UTF-8"));
  }
  // Many clients write a space behind the colon; RFC 5321 §4.1.1.2 warns of it, everyone takes it.
  const head = verb.exec(text)?.[0];
  const open = head?.length ?? 0;
  const close = head === undefined || text.charAt(open) !== "<" ? -1 : pathEnd(text, open);
  if (close === -1) return failed(refusal(501, "5.5.2", "Syntax: MAIL FROM:<address> or RCPT TO:<address>"));
  const parameters = new Map<string, string | undefined>();
  const rest = text.slice(close + 1);
  if (rest.trim() !== "" && !rest.startsWith(" ")) {
    return failed(refusal(501, "5.5.4", "A space belongs between path and parameters"));
  }
  for (const word of rest.split(" ")) {
    if (word === "") continue;
    const match = /^([A-Za-z0-9][A-Za-z0-9-]*)(?:=([^\p{C}\p{Z}=]+))?$/u.exec(word);
    const keyword = match?.[1]?.toUpperCase();
    if (keyword === undefined) return failed(refusal(501, "5.5.4", "A parameter is malformed"));
    // RFC 5321 §4.1.1.11: parameters we do not announce are refused with 555.
    if (!known.has(keyword)) {
      return failed(refusal(555, "5.5.4", `The parameter ${keyword.slice(0, 32)} is not known here`));
    }
    if (parameters.has(keyword)) return failed(refusal(501, "5.5.4", `${keyword} is given twice`));
    parameters.set(keyword, match?.[2]);
  }
  return { ok: true, command: { path: text.slice(open + 1, close), parameters } };
}

/** Offset of the bracket that ends the path; one inside a quoted local part does not. */
function pathEnd(text: string, open: number): number {
  let quoted = false;
  for (let at = open + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (quoted && character === "\\") at++;
    else if (character === '"') quoted = !quoted;
    else if (character === ">" && !quoted) return at;
  }
  return -1;
}

/** False when absent, undefined when it wrongly has a value. */
function flag(parameters: Parameters, keyword: string): boolean | undefined {
  if (!parameters.has(keyword)) return false;
  return parameters.get(keyword) === undefined ? true : undefined;
}

/** RFC 3461 §4.1: NEVER stands alone. */
function readNotify(text: string | undefined): Notify[] | undefined {
  const words = [...new Set(text?.toUpperCase().split(","))];
  if (words.length === 0 || !words.every((word): word is Notify => notifyWords.includes(word))) {
    return undefined;
  }
  return words.includes("NEVER") && words.length > 1 ? undefined : words;
}

/** RFC 3461 §4.2: addr-type ";" xtext. UTF-8 addresses come as RFC 6533 §3 writes them. */
function isOrcpt(text: string | undefined): boolean {
  const match = /^[A-Za-z0-9][A-Za-z0-9-]*;(.+)$/u.exec(text ?? "");
  return match !== null && decodeXtext(match[1], LONGEST_ORCPT) !== undefined;
}

/** RFC 3461 §4: "+" and two upper-case hex digits. Undefined when malformed, too long, or hiding controls. */
function decodeXtext(text: string | undefined, longest: number): string | undefined {
  if (text === undefined || text.length > longest || !/^(?:[^+]|\+[0-9A-F]{2})*$/.test(text))
    return undefined;
  const decoded = text.replaceAll(/\+([0-9A-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  // A line end in an ENVID would become a header of the DSN that quotes it.
  return /\p{Cc}/u.test(decoded) ? undefined : decoded;
}

/** RFC 6531 §3.5: 553 with X.6.7 where the client did not ask for SMTPUTF8. */
function needsUtf8(mailbox: Mailbox, announced: boolean): Refusal | undefined {
  return mailbox.isUtf8 && !announced
    ? refusal(553, "5.6.7", "An address beyond US-ASCII needs the SMTPUTF8 parameter at MAIL")
    : undefined;
}

function parameterError(keyword: string): { readonly ok: false; readonly refusal: Refusal } {
  return failed(refusal(501, "5.5.4", `${keyword}: the value is malformed`));
}

function failed(why: Refusal): { readonly ok: false; readonly refusal: Refusal } {
  return { ok: false, refusal: why };
}
