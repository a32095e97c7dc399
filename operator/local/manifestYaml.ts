/**
 * The text of a manifest file as documents that know on which line each of their fields stands.
 *
 * YAML is read as Kubernetes' own tools read it where that matters: merge keys work, a key given twice
 * is an error, and words that YAML 1.1 takes for booleans (`Off`, `yes`) are refused unless quoted, since
 * kubectl would send `false` for the same text.
 */
import {
  type Document,
  isAlias,
  isMap,
  isNode,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  visit,
} from "yaml";

import type { Segments } from "../../crds/problems.ts";

export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** From 1; null when the line says enough. */
  readonly column: number | null;
}

/** Why something in the folder cannot be applied, and where. */
export interface Refusal {
  /** Null: the folder as a whole. */
  readonly place: Place | null;
  readonly text: string;
}

export interface ManifestDocument {
  readonly file: string;
  readonly object: Readonly<Record<string, unknown>>;
  /** Where the field stands, or the nearest one around it that does. */
  readonly locate: (segments: Segments) => Place;
}

export interface ParsedFile {
  readonly documents: readonly ManifestDocument[];
  readonly refusals: readonly Refusal[];
}

/** A bomb of aliases is refused, as the API server's decoder does. */
const MAX_ALIASES = 100;
const yaml11Boolean = /^(y|yes|on|n|no|off)$/i;

export function parseManifestFile(file: string, text: string): ParsedFile {
  const lines = new LineCounter();
  let parsed: Document.Parsed[];
  try {
    parsed = [...parseAllDocuments(text, { lineCounter: lines, merge: true, prettyErrors: false })];
  } catch (error) {
    // Nesting beyond what the parser can follow.
    return { documents: [], refusals: [{ place: { file, line: 1, column: null }, text: notYaml(error) }] };
  }
  const documents: ManifestDocument[] = [];
  const refusals: Refusal[] = [];
  const placeAt = (offset: number, withColumn = false): Place => {
    const { line, col } = lines.linePos(offset);
    return { file, line: Math.max(1, line), column: withColumn ? col : null };
  };
  for (const document of parsed) {
    const broken = [...document.errors, ...document.warnings];
    if (broken.length > 0) {
      for (const error of broken.slice(0, 10)) {
        refusals.push({ place: placeAt(error.pos[0], true), text: notYaml(error) });
      }
      continue;
    }
    // A document of comments only, such as what a leading "---" leaves before it.
    if (document.contents === null || (isScalar(document.contents) && document.contents.value === null))
      continue;
    const start = placeAt(document.contents.range?.[0] ?? 0);
    if (!isMap(document.contents)) {
      refusals.push({
        place: start,
        text: "a manifest is an object with apiVersion, kind, metadata and spec",
      });
      continue;
    }
    refusals.push(...misreadBooleans(document, placeAt));
    try {
      const object = document.toJS({ maxAliasCount: MAX_ALIASES }) as Record<string, unknown>;
      documents.push({
        file,
        object,
        locate: (segments) => placeAt(offsetOf(document, segments) ?? document.contents?.range?.[0] ?? 0),
      });
    } catch (error) {
      refusals.push({ place: start, text: notYaml(error) });
    }
  }
  return { documents, refusals };
}

/** `relay.yaml:12:3: text`, as compilers write it, so that editors and terminals make it a link. */
export function printRefusal({ place, text }: Refusal): string {
  if (place === null) return text;
  const column = place.column === null ? "" : `:${place.column}`;
  return `${place.file}:${place.line}${column}: ${text}`;
}

function notYaml(error: unknown): string {
  const message = error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
  return `not valid YAML: ${message}`;
}

function misreadBooleans(document: Document.Parsed, placeAt: (offset: number) => Place): Refusal[] {
  const found: Refusal[] = [];
  visit(document, {
    Scalar(key, scalar) {
      if (key === "key" || scalar.type !== "PLAIN" || typeof scalar.value !== "string") return;
      if (!yaml11Boolean.test(scalar.value)) return;
      found.push({
        place: placeAt(scalar.range?.[0] ?? 0),
        text: `${scalar.value} without quotes is a boolean to Kubernetes' tools (YAML 1.1); write "${scalar.value}" for the word`,
      });
    },
  });
  return found.slice(0, 10);
}

/** Offset of the deepest node on the way to the field; of a pair, where its key stands. */
function offsetOf(document: Document.Parsed, segments: Segments): number | undefined {
  let node: Node | null | undefined = document.contents;
  let offset = node?.range?.[0];
  for (const segment of segments) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair: Pair | undefined = node.items.find(
        ({ key }) => isScalar(key) && String(key.value) === String(segment),
      );
      if (pair === undefined) return offset;
      offset = isNode(pair.key) ? (pair.key.range?.[0] ?? offset) : offset;
      node = isNode(pair.value) ? pair.value : null;
    } else if (isSeq(node)) {
      const item: unknown = node.items[Number(segment)];
      if (!isNode(item)) return offset;
      offset = item.range?.[0] ?? offset;
      node = item;
    } else return offset;
  }
  return offset;
}
