/** Bodies of answers: read whole up to a bound, parsed when they are JSON. */
import type { IncomingMessage } from "node:http";

/** A page of 500 objects is some megabytes; more than this is no answer of an API server in order. */
const LARGEST_BODY_BYTES = 256 * 1024 * 1024;

export interface Body {
  /** The parsed value; the text when it is no JSON; null when it is empty. */
  readonly value: unknown;
  readonly bytes: number;
}

/** Rejects when the body is cut. */
export async function readBody(response: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > LARGEST_BODY_BYTES) {
      response.destroy();
      throw new Error(`the answer is larger than ${LARGEST_BODY_BYTES} bytes`);
    }
    chunks.push(chunk);
  }
  if (!response.complete) throw new Error("the connection broke within the answer");
  const text = Buffer.concat(chunks).toString("utf8");
  if (text === "") return { value: null, bytes };
  try {
    return { value: JSON.parse(text) as unknown, bytes };
  } catch {
    return { value: text, bytes };
  }
}
