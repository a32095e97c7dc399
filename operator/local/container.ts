/**
 * Runs one program as the kubelet runs a container: starts it, probes it, starts it again with growing
 * pauses when it ends, stops it in order. States:
 *
 *   starting → running (ready or not) → starting …        it ended: backoff, then again
 *   any → stopping → stopped                               stop(): SIGTERM, grace, SIGKILL
 *
 * Knows nothing of pods, Secrets or folders: `launch` says what to run each time.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { dirname } from "node:path";

import { type Clock, sleep } from "../../relay/kit/clock.ts";
import type { Log } from "../../relay/kit/log.ts";
import { identify, type ProcessIdentity } from "./processes.ts";

export interface Launch {
  readonly command: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly logFile: string;
  /** Resolves to null when the program is ready, else to why it is not. Bounded in time. */
  readonly ready: () => Promise<string | null>;
  /** The same for being alive at all; a program that is not is killed after some failures. */
  readonly alive: (() => Promise<string | null>) | null;
}

export interface ContainerStatus {
  readonly phase: "Starting" | "Running" | "Backoff" | "Stopping" | "Stopped";
  readonly ready: boolean;
  /** Why it is not ready. */
  readonly reason: string;
  readonly restarts: number;
  /** How the former run ended. */
  readonly lastEnd: string | null;
}

const FIRST_BACKOFF_SECONDS = 1;
const LONGEST_BACKOFF_SECONDS = 60;
/** Up for this long, a program counts as having worked. */
const RESET_AFTER_SECONDS = 60;
const PROBE_MS = 1_000;
/** Until it is ready for the first time, a person may be waiting. */
const FIRST_PROBE_MS = 150;
const READY_FAILURES = 3;
/** Starting may take as long as recovering a spool. */
const ALIVE_FAILURES = 10;

export class Container {
  readonly #launch: () => Promise<Launch>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #onChange: () => void;
  readonly #record: (identity: ProcessIdentity | null) => void;
  readonly #stopping = new AbortController();
  #child: ChildProcess | null = null;
  #status: ContainerStatus = {
    phase: "Starting",
    ready: false,
    reason: "it starts",
    restarts: 0,
    lastEnd: null,
  };
  #ended: Promise<void> | null = null;

  constructor(options: {
    readonly launch: () => Promise<Launch>;
    readonly clock: Clock;
    readonly log: Log;
    readonly onChange: () => void;
    /** Told which process runs, so that a later start can end what a crash of ours left. */
    readonly record: (identity: ProcessIdentity | null) => void;
  }) {
    this.#launch = options.launch;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#onChange = options.onChange;
    this.#record = options.record;
  }

  get status(): ContainerStatus {
    return this.#status;
  }

  start(): void {
    this.#ended ??= this.#runUntilStopped();
  }

  /** SIGTERM, and SIGKILL when it has not ended after the grace. Resolves when it has. */
  async stop(graceSeconds: number): Promise<void> {
    this.#set({ phase: "Stopping", ready: false, reason: "it stops" });
    this.#stopping.abort();
    await this.#end(graceSeconds);
    await this.#ended;
    this.#set({ phase: "Stopped", ready: false, reason: "it has stopped" });
  }

  /** At once, without asking. */
  kill(): void {
    this.#stopping.abort();
    this.#child?.kill("SIGKILL");
  }

  async #runUntilStopped(): Promise<void> {
    const { signal } = this.#stopping;
    let backoffSeconds = FIRST_BACKOFF_SECONDS;
    while (!signal.aborted) {
      const startedAt = this.#clock.now();
      const end = await this.#runOnce().catch((error: unknown) =>
        error instanceof Error ? error.message : String(error),
      );
      if (signal.aborted) return;
      if (this.#clock.now() - startedAt >= RESET_AFTER_SECONDS * 1000) backoffSeconds = FIRST_BACKOFF_SECONDS;
      const reason = `${end}; it starts again in ${backoffSeconds} s`;
      this.#log.warn("container ended", { reason });
      this.#set({ phase: "Backoff", ready: false, reason, lastEnd: end });
      await sleep(this.#clock, backoffSeconds * 1000, signal);
      backoffSeconds = Math.min(backoffSeconds * 2, LONGEST_BACKOFF_SECONDS);
      if (!signal.aborted) this.#set({ phase: "Starting", restarts: this.#status.restarts + 1 });
    }
  }

  /** Resolves to how it ended. */
  async #runOnce(): Promise<string> {
    const launch = await this.#launch();
    if (this.#stopping.signal.aborted) return "it was stopped";
    mkdirSync(dirname(launch.logFile), { recursive: true, mode: 0o700 });
    // The program writes to the file itself, so that it goes on logging should we crash.
    const log = openSync(launch.logFile, "a", 0o600);
    let child: ChildProcess;
    try {
      child = spawn(launch.command, [...launch.arguments], {
        env: launch.environment,
        stdio: ["ignore", log, log],
        // Its own session: Ctrl-C in the terminal is for us, and we stop it in order.
        detached: true,
      });
    } finally {
      closeSync(log);
    }
    this.#child = child;
    const probing = new AbortController();
    const end = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(`it cannot be started: ${error.message}`));
      child.once("exit", (code, signal) =>
        resolve(signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`),
      );
    });
    this.#record(child.pid === undefined ? null : identify(child.pid));
    this.#set({ phase: "Running", ready: false, reason: "it starts" });
    const probes = this.#probe(launch, probing.signal);
    const how = await end;
    probing.abort();
    this.#child = null;
    this.#record(null);
    await probes;
    return how;
  }

  async #probe(launch: Launch, signal: AbortSignal): Promise<void> {
    let readyFailures = 0;
    let aliveFailures = 0;
    let everReady = false;
    while (!signal.aborted) {
      await sleep(this.#clock, everReady ? PROBE_MS : FIRST_PROBE_MS, signal);
      const notReady = signal.aborted ? null : await launch.ready();
      if (signal.aborted || this.#stopping.signal.aborted) return;
      readyFailures = notReady === null ? 0 : readyFailures + 1;
      everReady ||= notReady === null;
      if (notReady === null) this.#set({ ready: true, reason: "" });
      else if (!this.#status.ready || readyFailures >= READY_FAILURES)
        this.#set({ ready: false, reason: notReady });

      if (launch.alive === null || !everReady) continue;
      const notAlive = await launch.alive();
      if (signal.aborted) return;
      aliveFailures = notAlive === null ? 0 : aliveFailures + 1;
      if (aliveFailures >= ALIVE_FAILURES) {
        this.#log.warn("container is not alive and is killed", { reason: notAlive });
        this.#child?.kill("SIGKILL");
        return;
      }
    }
  }

  async #end(graceSeconds: number): Promise<void> {
    const child = this.#child;
    if (child === null) return;
    const ended = new AbortController();
    for (const event of ["exit", "error"]) child.once(event, () => ended.abort());
    child.kill("SIGTERM");
    await sleep(this.#clock, graceSeconds * 1000, ended.signal);
    if (ended.signal.aborted) return;
    this.#log.warn("container did not stop in time and is killed", { graceSeconds });
    child.kill("SIGKILL");
  }

  #set(change: Partial<ContainerStatus>): void {
    const next = { ...this.#status, ...change };
    if (JSON.stringify(next) === JSON.stringify(this.#status)) return;
    this.#status = next;
    this.#onChange();
  }
}
