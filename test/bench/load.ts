/**
 * The two ends of a measurement, both Postfix's tools: smtp-source submits, smtp-sink takes and counts. The
 * sink's count is the rate, to the last message: who loses or doubles one has no rate.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";

import { peerProgram } from "../support/peers/debian.ts";
import { freePort } from "../support/peers/program.ts";
import { connectionsTo } from "./machine.ts";

export interface Load {
  readonly sessions: number;
  readonly messages: number;
  readonly bytes: number;
  /** One message a connection, instead of sessions that are kept. */
  readonly perConnection: boolean;
}

export interface Sink extends AsyncDisposable {
  readonly port: number;
  taken(): number;
  /** Connections it has open now. */
  connections(): number;
  /** Resolves with the time (performance.now) at which `count` was reached; rejects when the count stands still. */
  reached(count: number): Promise<number>;
}

const STANDSTILL_MS = 30_000;

/** smtp-sink counting to standard output: "sess=… quit=… mesg=…" at each change. */
export async function startSink(): Promise<Sink> {
  const port = await freePort();
  const args = ["-c", `127.0.0.1:${port}`, "1000"];
  // As root, smtp-sink insists on dropping to another user.
  if (process.getuid?.() === 0) args.unshift("-u", "nobody");
  const child = spawn(peerProgram("smtp-sink"), args, { stdio: ["ignore", "pipe", "ignore"] });
  let taken = 0;
  let lastChange = performance.now();
  let rest = "";
  child.stdout.on("data", (chunk: Buffer) => {
    rest = (rest + chunk.toString("latin1")).slice(-4096);
    const end = rest.lastIndexOf("\r");
    const start = rest.lastIndexOf("mesg=", end);
    if (start === -1) return;
    const now = Number.parseInt(rest.slice(start + "mesg=".length, end), 10);
    if (now !== taken) lastChange = performance.now();
    taken = now;
  });
  return {
    port,
    taken: () => taken,
    connections: () => connectionsTo(port),
    async reached(count) {
      const started = performance.now();
      const isDue = () => taken < count;
      while (isDue()) {
        if (performance.now() - Math.max(lastChange, started) > STANDSTILL_MS) {
          throw new Error(`The sink took ${taken} messages and then none for 30 s; ${count} were due.`);
        }
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return lastChange;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill("SIGTERM");
      await once(child, "exit");
    },
  };
}

/** Submits a load to a port, and waits for the submitting side only. */
export async function submit(port: number, load: Load): Promise<void> {
  const child = spawn(
    peerProgram("smtp-source"),
    [
      ...(load.perConnection ? [] : ["-d"]),
      ...["-s", String(load.sessions), "-m", String(load.messages), "-l", String(load.bytes)],
      ...["-M", "client.example.test", "-f", "sender@example.test", "-t", "someone@inbox.test"],
      `127.0.0.1:${port}`,
    ],
    { stdio: ["ignore", "ignore", "pipe"] },
  );
  let complaint = "";
  child.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString("utf8")).slice(-2000)));
  const [code] = (await once(child, "exit")) as [number | null];
  if (code !== 0) throw new Error(`smtp-source ended with ${String(code)}: ${complaint.trim()}`);
}

/** Sends a load through a relay to the sink; gives the seconds it took, or fails when one is lost or doubled. */
export async function send(port: number, sink: Sink, load: Load): Promise<number> {
  const before = sink.taken();
  const started = performance.now();
  await submit(port, load);
  const ended = await sink.reached(before + load.messages);
  if (sink.taken() !== before + load.messages) {
    throw new Error(
      `The sink took ${sink.taken() - before} messages of ${load.messages}: a run that doubles or loses is no run.`,
    );
  }
  return (ended - started) / 1000;
}
