/**
 * Runs a peer's program for a test: output kept for the failure report, readiness by a condition, end by
 * its own process id. Nothing it did not start is ever touched.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { connect, createServer } from "node:net";

export interface Program extends AsyncDisposable {
  readonly child: ChildProcess;
  /** All it printed, both streams. */
  output(): string;
  /** SIGTERM, then SIGKILL after five seconds. Resolves when it has ended. */
  stop(): Promise<void>;
}

export function startProgram(
  command: string,
  args: readonly string[],
  { logFile, ...options }: { cwd?: string; env?: NodeJS.ProcessEnv; logFile?: string } = {},
): Program {
  const log = logFile === undefined ? undefined : openSync(logFile, "a", 0o600);
  const child = spawn(command, args, { ...options, stdio: ["ignore", "pipe", log ?? "pipe"] });
  if (log !== undefined) closeSync(log);
  let output = "";
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString("utf8")).slice(-65_536);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  child.on("error", (error) => keep(Buffer.from(`${command}: ${error.message}\n`)));
  const stop = async () => {
    if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
    const ended = once(child, "exit");
    child.kill("SIGTERM");
    const kill = setTimeout(() => child.kill("SIGKILL"), 5000);
    await ended;
    clearTimeout(kill);
  };
  return { child, output: () => output, stop, [Symbol.asyncDispose]: stop };
}

/** A port that was free a moment ago. Ask for it late and use it at once. */
export async function freePort(host = "127.0.0.1"): Promise<number> {
  const server = createServer();
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("Cannot read the port of a socket.");
  return address.port;
}

/** Waits until something answers on the port, or fails with what the program printed. */
export async function untilListening(
  program: Program,
  port: number,
  host = "127.0.0.1",
  seconds = 20,
): Promise<void> {
  for (let attempt = 0; attempt < seconds * 20; attempt++) {
    if (program.child.exitCode !== null || program.child.signalCode !== null) break;
    const open = await new Promise<boolean>((resolve) => {
      const socket = connect({ port, host });
      socket.once("connect", () => (socket.destroy(), resolve(true)));
      socket.once("error", () => resolve(false));
    });
    if (open) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  await program.stop();
  throw new Error(`${program.child.spawnfile} does not listen on ${host}:${port}:\n${program.output()}`);
}

/** Runs to the end and returns standard output; a non-zero end throws with all it printed. */
export async function runProgram(
  command: string,
  args: readonly string[],
  options: { input?: string | Buffer; env?: NodeJS.ProcessEnv; seconds?: number } = {},
): Promise<string> {
  const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"], env: options.env ?? process.env });
  let out = "";
  let err = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString("utf8")));
  child.stderr.on("data", (chunk: Buffer) => (err += chunk.toString("utf8")));
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  const kill = setTimeout(() => child.kill("SIGKILL"), (options.seconds ?? 60) * 1000);
  const [code] = (await once(child, "exit")) as [number | null];
  clearTimeout(kill);
  if (code !== 0) throw new Error(`${command} ${args.join(" ")} ended with ${String(code)}:\n${out}${err}`);
  return out;
}
