/**
 * The body of a watch, read: one JSON object a line, each an event. Nothing is read ahead of the one who
 * consumes, so that a slow reader slows the server and not our memory; a line has a longest length.
 *
 * An ERROR event ends the stream with the KubeError it carries (410 Expired when history is gone); so do
 * lines that are no events. A connection that breaks is Unavailable, the server's own end is no error.
 */
import { KubeError, type KubeObject, type WatchEvent } from "../kubeClient.ts";
import { readStatus, statusError, unreachable } from "./apiError.ts";

/** etcd takes 1.5 MiB of an object; its JSON with managed fields may be some times that. */
export const LONGEST_LINE_BYTES = 16 * 1024 * 1024;

const NEWLINE = 0x0a;

export async function* watchEvents(
  chunks: AsyncIterable<Uint8Array>,
  purpose: string,
  longestLineBytes = LONGEST_LINE_BYTES,
): AsyncGenerator<WatchEvent> {
  for await (const line of lines(chunks, purpose, longestLineBytes)) {
    const event = readEvent(line, purpose);
    if (event !== null) yield event;
  }
}

async function* lines(
  chunks: AsyncIterable<Uint8Array>,
  purpose: string,
  longestBytes: number,
): AsyncGenerator<string> {
  let parts: Uint8Array[] = [];
  let held = 0;
  for await (const chunk of chunks) {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(NEWLINE, from);
      const piece = chunk.subarray(from, end < 0 ? chunk.length : end);
      held += piece.length;
      if (held > longestBytes) {
        throw new KubeError("Unknown", 0, `Cannot ${purpose}: a line is longer than ${longestBytes} bytes`);
      }
      if (piece.length > 0) parts.push(piece);
      if (end < 0) break;
      if (held > 0) yield Buffer.concat(parts).toString("utf8");
      parts = [];
      held = 0;
      from = end + 1;
    }
  }
  if (held > 0) throw unreachable(purpose, "the stream ended within an event");
}

/** Null: an event of a kind that is not known here. */
function readEvent(line: string, purpose: string): WatchEvent | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch (cause) {
    throw new KubeError("Unknown", 0, `Cannot ${purpose}: ${shown(line)} is not JSON`, { cause });
  }
  const { type, object } = (parsed ?? {}) as { type?: unknown; object?: unknown };
  if (type === "ERROR") throw statusError(readStatus(object).code ?? 500, object, purpose);
  if (typeof type !== "string" || !isKubeObject(object)) {
    throw new KubeError("Unknown", 0, `Cannot ${purpose}: ${shown(line)} is not an event`);
  }
  switch (type) {
    case "ADDED":
    case "MODIFIED":
    case "DELETED":
      return { type, object };
    case "BOOKMARK": {
      const { resourceVersion } = object.metadata;
      return resourceVersion === undefined ? null : { type, resourceVersion };
    }
    default:
      return null;
  }
}

function isKubeObject(value: unknown): value is KubeObject {
  if (typeof value !== "object" || value === null) return false;
  const { kind, apiVersion, metadata } = value as Record<string, unknown>;
  return (
    typeof kind === "string" &&
    typeof apiVersion === "string" &&
    typeof metadata === "object" &&
    metadata !== null
  );
}

function shown(line: string): string {
  return JSON.stringify(line.length > 80 ? `${line.slice(0, 80)}…` : line);
}
