/**
 * Patterns that mean the same here and in the API server. Local mode runs them with JavaScript's engine,
 * the API server with Go's RE2, which has no look-around and no back references. What the two read
 * differently (`\s`, `.`, `\b`, Unicode classes) is refused as well, so that no manifest is judged twice.
 */

const foreign: readonly (readonly [RegExp, string])[] = [
  [/\(\?(?!:)/, "uses look-around, a named group or inline flags"],
  [/\\[1-9k]/, "uses a back reference"],
  [/\\[sSbBcuUpPxXAzZCQE]/, "uses an escape that JavaScript and RE2 read differently"],
  [/\{\d{4,}|,\d{4,}\}/, "repeats more than 999 times"],
  [/\[\[:/, "uses a POSIX class, which JavaScript does not know"],
];

/** Throws an Error naming `path` when `pattern` is not common ground of JavaScript and RE2. */
export function requireRe2(pattern: string, path: string): void {
  const reason =
    foreign.find(([sign]) => sign.test(pattern))?.[1] ??
    (hasBareDot(pattern) ? 'uses ".", which matches other line ends in JavaScript than in RE2' : undefined) ??
    (pattern.startsWith("^") && pattern.endsWith("$") ? undefined : "is not anchored at both ends");
  if (reason !== undefined) throw new Error(`Cannot use the pattern of ${path}: it ${reason}: ${pattern}`);
  // Throws a SyntaxError for what is no pattern at all.
  void new RegExp(pattern);
}

/** A dot outside a class that is not escaped. */
function hasBareDot(pattern: string): boolean {
  const plain = pattern.replaceAll(/\\./g, "").replaceAll(/\[[^\]]*\]/g, "");
  return plain.includes(".");
}
