/**
 * Whose mail a message claims to be: the mailboxes of a header From (RFC 5322 §3.4 and §3.6.2, groups as
 * RFC 6854 allows). Pure and strict: receivers show a name from this field, and what we cannot read with
 * certainty somebody else will read as a stranger's address, so it is refused and not guessed.
 */
import { type Mailbox, parseMailbox } from "./mailbox.ts";

export type ParsedFrom =
  | { readonly ok: true; readonly mailboxes: readonly [Mailbox, ...Mailbox[]] }
  /** `reason` ends the sentence "the From field …". */
  | { readonly ok: false; readonly reason: string };

/** More authors than any message has. */
const MOST_MAILBOXES = 20;
const DEEPEST_COMMENT = 8;

/** A lexical token: a special character, or text (atoms, quoted strings, literals) as written. */
interface Token {
  readonly kind: "special" | "atom" | "quoted" | "literal";
  readonly text: string;
}

/** Reads an unfolded field value. */
export function parseFrom(value: string): ParsedFrom {
  const tokens = tokenize(value);
  if (tokens === undefined) return { ok: false, reason: "has an unfinished comment, quote or bracket" };
  const mailboxes: Mailbox[] = [];
  for (const part of parts(tokens)) {
    if (part.length === 0) continue;
    const text = addressOf(part);
    if (text === undefined) return { ok: false, reason: "is not a list of mailboxes" };
    const parsed = parseMailbox(text);
    if (!parsed.ok) return { ok: false, reason: `has an address that ${parsed.reason}` };
    mailboxes.push(parsed.mailbox);
    if (mailboxes.length > MOST_MAILBOXES) {
      return { ok: false, reason: `has more than ${MOST_MAILBOXES} mailboxes` };
    }
  }
  const [first, ...others] = mailboxes;
  if (first === undefined) return { ok: false, reason: "has no mailbox" };
  return { ok: true, mailboxes: [first, ...others] };
}

/** Mailboxes of the list, without the names and ends of groups. */
function* parts(tokens: readonly Token[]): Generator<readonly Token[]> {
  let part: Token[] = [];
  let inAngle = false;
  for (const token of tokens) {
    if (token.kind === "special") {
      if (token.text === "<") inAngle = true;
      if (token.text === ">") inAngle = false;
      if (!inAngle && (token.text === "," || token.text === ";")) {
        yield part;
        part = [];
        continue;
      }
      // "Authors: a@example.com, b@example.com;": what is before the colon names the group. An address
      // there is no name, and stays to spoil the list.
      if (!inAngle && token.text === ":" && !part.some(isAt)) {
        part = [];
        continue;
      }
    }
    part.push(token);
  }
  yield part;
}

function isAt(token: Token): boolean {
  return token.kind === "special" && token.text === "@";
}

/** The addr-spec of one mailbox; undefined when it is not clear which one it is. */
function addressOf(part: readonly Token[]): string | undefined {
  const open = part.findIndex((token) => token.kind === "special" && token.text === "<");
  const close = part.findIndex((token) => token.kind === "special" && token.text === ">");
  if (open === -1 && close === -1) return joined(part);
  if (open === -1 || close !== part.length - 1) return undefined;
  const inside = part.slice(open + 1, close);
  return inside.some((token) => token.kind === "special" && token.text === "<") ? undefined : joined(inside);
}

/** Words of an addr-spec may only meet at a special: "a b@c" is no address. */
function joined(tokens: readonly Token[]): string | undefined {
  let text = "";
  let previous: Token | undefined;
  for (const token of tokens) {
    if (previous !== undefined && previous.kind !== "special" && token.kind !== "special") return undefined;
    text += token.text;
    previous = token;
  }
  return text;
}

function tokenize(value: string): Token[] | undefined {
  const tokens: Token[] = [];
  let at = 0;
  while (at < value.length) {
    const character = value.charAt(at);
    let end: number | undefined = at + 1;
    if (character === "(") {
      end = commentEnd(value, at);
    } else if (character === '"') {
      end = closing(value, at, '"');
      if (end !== undefined) tokens.push({ kind: "quoted", text: value.slice(at, end) });
    } else if (character === "[") {
      end = closing(value, at, "]");
      if (end !== undefined) tokens.push({ kind: "literal", text: value.slice(at, end) });
    } else if ("<>@,:;.".includes(character)) {
      tokens.push({ kind: "special", text: character });
    } else if (character !== " " && character !== "\t") {
      while (end < value.length && !' \t()"[<>@,:;.'.includes(value.charAt(end))) end++;
      tokens.push({ kind: "atom", text: value.slice(at, end) });
    }
    if (end === undefined) return undefined;
    at = end;
  }
  return tokens;
}

/** Offset behind the end of a quoted string or literal that opens at `start`. */
function closing(value: string, start: number, close: string): number | undefined {
  for (let at = start + 1; at < value.length; at++) {
    if (value.charAt(at) === "\\") at++;
    else if (value.charAt(at) === close) return at + 1;
  }
  return undefined;
}

/** RFC 5322 §3.2.2: comments nest. */
function commentEnd(value: string, start: number): number | undefined {
  let depth = 0;
  for (let at = start; at < value.length; at++) {
    const character = value.charAt(at);
    if (character === "\\") at++;
    else if (character === "(") depth++;
    else if (character === ")") depth--;
    if (depth > DEEPEST_COMMENT) return undefined;
    if (depth === 0) return at + 1;
  }
  return undefined;
}
