/** Bodies of answers: unpacked, read whole up to a bound, parsed when they are JSON. */
import type { IncomingMessage } from "node:http";
import { pipeline } from "node:stream/promises";
import { createGunzip } from "node:zlib";

import { PROTOBUF } from "./protobuf.ts";

/** A page of 500 objects is some megabytes; more than this is no answer of an API server in order. */
const LARGEST_BODY_BYTES = 256 * 1024 * 1024;

export interface Body {
  /** The parsed value; the bytes of protobuf; else the text when it is no JSON; null when it is empty. */
  readonly value: unknown;
  /** Unpacked. */
  readonly bytes: number;
}

/** Rejects when the body is cut. */
export async function readBody(response: IncomingMessage): Promise<Body> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const read = async (stream: AsyncIterable<Buffer>) => {
    for await (const chunk of stream) {
      bytes += chunk.length;
      if (bytes > LARGEST_BODY_BYTES) {
        response.destroy();
        throw new Error(`the answer is larger than ${LARGEST_BODY_BYTES} bytes`);
      }
      chunks.push(chunk);
    }
  };
  if (response.headers["content-encoding"] === "gzip") await pipeline(response, createGunzip(), read);
  else await read(response);
  if (!response.complete) throw new Error("the connection broke within the answer");
  const whole = Buffer.concat(chunks);
  if (bytes > 0 && response.headers["content-type"]?.startsWith(PROTOBUF) === true)
    return { value: whole, bytes };
  const text = whole.toString("utf8");
  if (text === "") return { value: null, bytes };
  try {
    return { value: JSON.parse(text) as unknown, bytes };
  } catch {
    return { value: text, bytes };
  }
}
