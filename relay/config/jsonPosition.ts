/**
 * Where a text stops being JSON (RFC 8259). `JSON.parse` says so only for some mistakes, and quotes the
 * document in the others, which has no place in a report. Asked only after it refused. Pure.
 */

export interface TextPosition {
  /** Both counted from 1. */
  readonly line: number;
  readonly column: number;
}

const blank = /[ \t\n\r]*/y;
const scalar =
  /"(?:[ !#-[\]-\u{10FFFF}]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null/uy;

/** What may come next: the grammar as a table of one step. */
type Expected = "value" | "valueOrEnd" | "key" | "keyOrEnd" | "colon" | "commaOrEnd" | "nothing";

/** Position of the first character that cannot stand where it does; the end, when more was to come. */
export function findJsonMistake(text: string): TextPosition {
  const open: ("{" | "[")[] = [];
  let expected: Expected = "value";
  let at = 0;
  const closed = (): Expected => (open.length === 0 ? "nothing" : "commaOrEnd");
  for (;;) {
    at = skip(blank, text, at) ?? at;
    const character = text.charAt(at);
    const inside = open.at(-1);
    const mayEnd = expected === "commaOrEnd" || expected === "keyOrEnd" || expected === "valueOrEnd";
    if (mayEnd && ((character === "}" && inside === "{") || (character === "]" && inside === "["))) {
      open.pop();
      expected = closed();
      at++;
    } else if (expected === "colon" && character === ":") {
      expected = "value";
      at++;
    } else if (expected === "commaOrEnd" && character === ",") {
      expected = inside === "{" ? "key" : "value";
      at++;
    } else if (
      (expected === "value" || expected === "valueOrEnd") &&
      (character === "{" || character === "[")
    ) {
      open.push(character);
      expected = character === "{" ? "keyOrEnd" : "valueOrEnd";
      at++;
    } else {
      const isKey: boolean = expected === "key" || expected === "keyOrEnd";
      const isValue: boolean = expected === "value" || expected === "valueOrEnd";
      const end = isValue || (isKey && character === '"') ? skip(scalar, text, at) : undefined;
      if (end === undefined) return positionOf(text, at);
      expected = isKey ? "colon" : closed();
      at = end;
    }
  }
}

/** Offset behind the match at `at`, or undefined. */
function skip(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

function positionOf(text: string, at: number): TextPosition {
  const lines = text.slice(0, at).split("\n");
  return { line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
}
