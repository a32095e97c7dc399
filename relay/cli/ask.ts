/** One question to one admin socket, answered by a checked value or by the reason why not. */
import { request } from "node:http";

import type { z } from "zod";

import type { AdminSocket } from "./find.ts";

export type Asked<Value> =
  | { readonly kind: "answer"; readonly value: Value }
  | { readonly kind: "absent" }
  | { readonly kind: "silent"; readonly reason: string };

const PATIENCE_MS = 10_000;
const MOST_BYTES = 64 * 1024 * 1024;

export async function ask<Schema extends z.ZodType>(
  at: AdminSocket,
  path: string,
  schema: Schema,
): Promise<Asked<z.output<Schema>>> {
  let response: { readonly status: number; readonly body: string };
  try {
    response = await get(at.socket, path);
  } catch (error) {
    return { kind: "silent", reason: reasonOf(error as NodeJS.ErrnoException, at.socket) };
  }
  if (response.status === 404) return { kind: "absent" };
  if (response.status !== 200) {
    return { kind: "silent", reason: `it answered ${response.status}: ${response.body.slice(0, 200)}` };
  }
  try {
    return { kind: "answer", value: schema.parse(JSON.parse(response.body)) };
  } catch {
    return {
      kind: "silent",
      reason: "its answer cannot be read: the relay and this command are of different versions",
    };
  }
}

function get(socketPath: string, path: string): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    const asking = request({ socketPath, path, signal, headers: { connection: "close" } }, (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        if (bytes > MOST_BYTES) response.destroy(new Error("the answer is too long"));
        else chunks.push(chunk);
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
      );
      response.on("error", reject);
    });
    asking.on("error", reject);
    asking.end();
  });
}

function reasonOf(error: NodeJS.ErrnoException, socket: string): string {
  switch (error.code) {
    case "ENOENT":
    case "ECONNREFUSED":
      return `not running (nobody answers at ${socket})`;
    case "EACCES":
    case "EPERM":
      return `you may not ask it: ${socket} belongs to another user. Run the command as the relay's user`;
    case "ABORT_ERR":
      return `no answer within ${PATIENCE_MS / 1000} s`;
    default:
      return error.name === "AbortError" || error.name === "TimeoutError"
        ? `no answer within ${PATIENCE_MS / 1000} s`
        : (error.code ?? error.message);
  }
}
