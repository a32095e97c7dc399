/** Runs a program of the machine to its end. What it said is part of the error when it fails. */
import { spawn } from "node:child_process";
import { once } from "node:events";

export interface Ended {
  readonly code: number | null;
  readonly out: Buffer;
  readonly err: string;
}

export async function runToEnd(
  program: string,
  words: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Ended> {
  const child = spawn(program, words, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
  const failed = await Promise.race([
    once(child, "close").then(() => null),
    once(child, "error").then(([error]) => error as Error),
  ]);
  if (failed !== null) return { code: null, out: Buffer.alloc(0), err: failed.message };
  return { code: child.exitCode, out: Buffer.concat(out), err: Buffer.concat(err).toString("utf8") };
}

/** Standard output; throws when it did not end well. */
export async function outputOf(
  program: string,
  words: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<Buffer> {
  const { code, out, err } = await runToEnd(program, words, options);
  if (code === 0) return out;
  throw new Error(
    `Cannot run ${program} ${words.join(" ")}: ${(err || out.toString("utf8")).trim().slice(-2000)}`,
  );
}
