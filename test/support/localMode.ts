/**
 * Local mode as a person runs it: the command as a child process, a folder of manifests to edit, a state
 * folder to read. Stories wait for what status files, logs and output say, each with a bound.
 */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { vi } from "vitest";
import { parse } from "yaml";

import { type Submission, submit } from "../../operator/local/quickstart/submit.ts";

const repository = join(import.meta.dirname, "..", "..");
const within = { timeout: 30_000, interval: 50 };

interface Status {
  readonly metadata: { readonly generation: number };
  readonly status: {
    readonly conditions?: readonly {
      readonly type: string;
      readonly status: string;
      readonly message: string;
    }[];
    readonly [field: string]: unknown;
  };
}

export class LocalModeDriver {
  readonly root: string;
  readonly manifests: string;
  readonly state: string;
  output = "";
  #child: ChildProcess | null = null;
  #exit: Promise<number | null> = Promise.resolve(null);

  /** With the manifests of the quickstart, addresses `net`.1 and .2 in the pool. */
  constructor(net: string) {
    this.root = mkdtempSync(join(tmpdir(), "local-"));
    this.manifests = join(this.root, "manifests");
    this.state = join(this.root, "state");
    cpSync(join(repository, "examples", "quickstart"), this.manifests, { recursive: true });
    this.edit("pool.yaml", (text) =>
      text.replace("127.0.0.11", `${net}.1`).replace("127.0.0.12", `${net}.2`),
    );
  }

  /** `words` come after `local -f DIR --state DIR`. */
  start(words: readonly string[] = []): void {
    this.run(["operator/main.ts", "local", "-f", this.manifests, "--state", this.state, ...words]);
  }

  run(words: readonly string[]): void {
    const [program = "", ...rest] = words;
    const child = spawn(process.execPath, [join(repository, program), ...rest], {
      cwd: this.root,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding("utf8");
      stream?.on("data", (text: string) => (this.output += text));
    }
    this.#child = child;
    this.#exit = new Promise((resolve) => child.once("exit", (code) => resolve(code)));
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  /** Exit code of the command; null when a signal ended it. */
  ended(): Promise<number | null> {
    return this.#exit;
  }

  /** Throws with what the command said when it ends with another code. */
  async endedWith(wanted: number): Promise<void> {
    const code = await this.ended();
    if (code !== wanted) throw new Error(`ended with ${code}, not ${wanted}:\n${this.output}`);
  }

  async stop(): Promise<number | null> {
    this.signal("SIGINT");
    return await this.ended();
  }

  /** Ends everything, also relays a killed command left behind, and removes the folder. */
  async dispose(): Promise<void> {
    if (this.#child?.exitCode === null && this.#child.signalCode === null) {
      this.signal("SIGKILL");
      await this.ended();
    }
    for (const pod of namesIn(join(this.state, "pods"))) {
      const pid = this.pid(pod);
      if (pid !== null) spawnSync("kill", ["-9", String(pid)]);
    }
    rmSync(this.root, { recursive: true, force: true, maxRetries: 5 });
  }

  edit(name: string, change: (text: string) => string): void {
    const path = join(this.manifests, name);
    const before = readFileSync(path, "utf8");
    const after = change(before);
    if (after === before) throw new Error(`the edit of ${name} changes nothing`);
    writeFileSync(path, after);
  }

  write(name: string, text: string): void {
    writeFileSync(join(this.manifests, name), text);
  }

  /** "SmtpRelay.mail"; null before it is written. */
  status(object: string): Status | null {
    const text = readText(join(this.state, "status", `${object}.yaml`));
    return text === null ? null : (parse(text) as Status);
  }

  condition(object: string, type: string): string {
    const found = this.status(object)?.status.conditions?.find((one) => one.type === type);
    return found === undefined ? "absent" : `${found.status}: ${found.message}`;
  }

  refusals(): string | null {
    return readText(join(this.state, "status", "refusals.txt"));
  }

  secret(name: string, key: string): string {
    return readText(join(this.state, "secrets", name, key)) ?? "";
  }

  /** Process of a pod; null when it has none. */
  pid(pod: string): number | null {
    const text = readText(join(this.state, "pods", pod, "process.json"));
    return text === null ? null : (JSON.parse(text) as { pid: number }).pid;
  }

  log(name: string): string {
    return readText(join(this.state, "logs", `${name}.log`)) ?? "";
  }

  /** Waits until `check` no longer throws; on giving up shows what the command said. */
  async until(check: () => void): Promise<void> {
    try {
      await vi.waitFor(check, within);
    } catch (error) {
      throw new Error(
        `${String(error)}\n--- output\n${this.output}\n--- log\n${this.log("operator").slice(-3000)}`,
        {
          cause: error,
        },
      );
    }
  }

  async untilReady(): Promise<void> {
    await this.until(() => {
      for (const [object, type, wanted] of [
        ["SendingDomain.example.test", "Ready", "True"],
        ["IpPool.default", "Ready", "True"],
        ["SmtpRelay.mail", "Ready", "True"],
        ["SmtpRelay.mail", "Reconciling", "False"],
      ] as const) {
        const found = this.condition(object, type);
        if (!found.startsWith(wanted)) throw new Error(`${object}: ${type} is ${found}`);
      }
    });
  }

  /** Submits one message as the credential `app`; the reply to the final dot. */
  async send(to: string, from = "app@example.test"): Promise<string> {
    const door: Submission = { port: Number(this.secret("mail-app", "port")), implicitTls: false };
    const account = {
      host: this.secret("mail-app", "host"),
      hostname: "mail.example.test",
      username: this.secret("mail-app", "username"),
      password: this.secret("mail-app", "password"),
      certificate: this.secret("mail-app", "ca.crt"),
    };
    const id = `<${process.hrtime.bigint()}@example.test>`;
    return await submit(account, door, { id, from, to, subject: "hello", text: "hello\r\n" });
  }

  /** What `smtp-relay queue --json` and its like say. */
  ask(...words: string[]): { code: number | null; output: string } {
    const done = spawnSync(
      process.execPath,
      [join(repository, "relay/cli/main.ts"), ...words, "--state", this.state],
      {
        encoding: "utf8",
        timeout: 20_000,
      },
    );
    return { code: done.status, output: done.stdout + done.stderr };
  }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
