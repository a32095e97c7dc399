/**
 * What is wrong with a manifest, field by field, in the manner of the API server: kind of problem, path,
 * reason. `segments` leads an editor or a YAML reader to the place.
 */

export type Segments = readonly (string | number)[];

/** The API server's own kinds of field errors. */
export type ProblemKind =
  | "Required"
  | "UnknownField"
  | "TypeInvalid"
  | "Invalid"
  | "Unsupported"
  | "TooLong"
  | "TooMany"
  | "Duplicate"
  | "Forbidden";

export interface Problem {
  readonly kind: ProblemKind;
  readonly segments: Segments;
  /** The same as text: "spec.listeners[1].port"; "" is the whole document. */
  readonly path: string;
  /** Kind, value and reason: "Invalid value: -1: must be at least 0". */
  readonly message: string;
  /** Path and message, as one line for a person. */
  readonly text: string;
}

/** Most problems of one manifest that are worth telling; a hostile one has a hundred thousand. */
export const MAX_PROBLEMS = 100;
/** Longer values are cut where they are quoted. */
const LONGEST_QUOTE = 80;

export function problem(kind: ProblemKind, segments: Segments, message: string): Problem {
  const path = fieldPath(segments);
  const text = kind === "UnknownField" || path === "" ? message : `${path}: ${message}`;
  return { kind, segments, path, message, text };
}

export function required(segments: Segments, why?: string): Problem {
  return problem("Required", segments, why === undefined ? "Required value" : `Required value: ${why}`);
}

export function invalid(segments: Segments, value: unknown, reason: string): Problem {
  const shown = typeof value === "object" || value === undefined ? "" : `${quoted(value)}: `;
  return problem("Invalid", segments, `Invalid value: ${shown}${reason}`);
}

export function wrongType(segments: Segments, value: unknown, wanted: string): Problem {
  const shown = typeof value === "object" ? "" : `${quoted(value)}: `;
  return problem(
    "TypeInvalid",
    segments,
    `Invalid value: ${shown}must be ${wanted}, not ${typeName(value)}${typeHint(value, wanted)}`,
  );
}

export function unsupported(segments: Segments, value: unknown, supported: readonly string[]): Problem {
  const hint = typeof value === "string" ? didYouMean(value, supported) : "";
  return problem(
    "Unsupported",
    segments,
    `Unsupported value: ${quoted(value)}: supported values: ${supported.map((one) => `"${one}"`).join(", ")}${hint}`,
  );
}

export function unknownField(segments: Segments, siblings: readonly string[]): Problem {
  const hint = didYouMean(String(segments.at(-1)), siblings);
  return problem("UnknownField", segments, `unknown field "${fieldPath(segments)}"${hint}`);
}

/** A problem for each field of `object` that is not in `known`, up to MAX_PROBLEMS. */
export function unknownFields(object: object, known: readonly string[], at: Segments): Problem[] {
  return Object.keys(object)
    .filter((field) => !known.includes(field))
    .slice(0, MAX_PROBLEMS)
    .map((field) => unknownField([...at, field], known));
}

/** ["spec", "listeners", 1, "port"] → "spec.listeners[1].port"; odd keys as "data[tls.crt]". */
export function fieldPath(segments: Segments): string {
  let path = "";
  for (const segment of segments) {
    if (typeof segment === "number") path += `[${segment}]`;
    else if (/^[A-Za-z_][A-Za-z0-9_-]*$/.test(segment)) path += path === "" ? segment : `.${segment}`;
    else path += `[${segment.slice(0, LONGEST_QUOTE)}]`;
  }
  return path;
}

export function quoted(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text;
}

function typeName(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  if (typeof value === "number" && !Number.isInteger(value)) return "a fraction";
  return `a ${typeof value}`;
}

/** YAML makes text of what was meant as a number, and the other way round. */
function typeHint(value: unknown, wanted: string): string {
  const text = typeof value === "string" ? value : "";
  if (wanted === "an integer" && /^-?\d{1,15}$/.test(text)) return "; leave out the quotes";
  if (wanted === "true or false" && /^(true|false)$/i.test(text)) return "; leave out the quotes";
  if (wanted === "a string" && ["number", "boolean"].includes(typeof value)) return "; put it in quotes";
  return "";
}

/** `; did you mean "replicas"?` when one of `known` is near, else nothing. */
function didYouMean(word: string, known: readonly string[]): string {
  if (word.length > 64) return "";
  const near = known
    .map((name) => ({ name, distance: editDistance(word.toLowerCase(), name.toLowerCase()) }))
    .filter(({ name, distance }) => distance <= Math.max(1, Math.floor(name.length / 3)))
    .sort((a, b) => a.distance - b.distance)[0];
  return near === undefined ? "" : `; did you mean "${near.name}"?`;
}

/** Levenshtein's, over words of at most 64 characters. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}
