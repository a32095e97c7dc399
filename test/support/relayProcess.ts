/**
 * The relay program as a child process with a configuration folder of its own, for stories and the
 * benchmark that need the real thing: real sockets, real spool, real signals.
 */
import { mkdir, mkdtemp, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { RelayConfig } from "../../relay/contract/config.ts";
import {
  bootVariables,
  configFiles,
  relayNodeOptions,
  STATUS_PORT,
  statusPaths,
} from "../../relay/contract/endpoints.ts";
import { type RelayReport, relayReport } from "../../relay/contract/report.ts";
import { makeCertificate } from "./certificate.ts";
import { freePort, type Program, startProgram, untilListening } from "./peers/program.ts";

export const POD = "test-0";

/** A configuration that is complete and sends nowhere: override what the story is about. */
export function testConfig(overrides: Partial<RelayConfig> & { readonly listenerPort: number }): RelayConfig {
  const { listenerPort, ...rest } = overrides;
  return {
    version: 1,
    revision: "test-1",
    relay: { namespace: "default", name: "test", hostname: "mail.example.test" },
    paused: false,
    listeners: [
      {
        name: "internal",
        port: listenerPort,
        tls: "StartTls",
        auth: "Optional",
        trustedNetworks: ["127.0.0.0/8"],
      },
    ],
    certificate: { certFile: configFiles.certificate, keyFile: configFiles.certificateKey },
    limits: {
      messageSizeBytes: 26_214_400,
      recipientsPerMessage: 1000,
      sessions: 5000,
      sessionsPerClient: 5000,
    },
    credentials: [],
    domains: [{ domain: "example.test", state: "Active", reason: "", dkim: [] }],
    routes: [{ name: "mx", recipientDomains: [], to: { kind: "pool", pool: "default" } }],
    queue: { expireAfterSeconds: 432_000, retry: { firstDelaySeconds: 300, longestDelaySeconds: 14_400 } },
    tlsOutbound: { mode: "Opportunistic", minVersion: "TLSv1.2" },
    dns: { servers: [] },
    delivery: { port: 25, forbiddenNetworks: [] },
    privacy: { addressesInLogs: "Hashed" },
    pods: [
      {
        name: POD,
        state: "Active",
        sources: [
          {
            name: "a",
            pool: "default",
            address: "127.0.0.11",
            ehloName: "a.mail.example.test",
            state: "Active",
            stateReason: "",
            allowance: [],
          },
        ],
      },
    ],
    ...rest,
  };
}

/** A route of everything to one smart host on loopback, without TLS or AUTH. */
export function smarthostRoute(port: number): RelayConfig["routes"][number] {
  return {
    name: "sink",
    recipientDomains: [],
    to: {
      kind: "smarthost",
      host: "127.0.0.1",
      port,
      tls: "Opportunistic",
      username: null,
      passwordFile: null,
      pool: null,
    },
  };
}

export interface RelayProcess extends AsyncDisposable {
  readonly program: Program;
  readonly pid: number;
  readonly port: number;
  /** Added to the ports of the configuration, so that tests do not meet. */
  readonly shift: number;
  readonly directory: string;
  readonly adminSocket: string;
  report(): Promise<RelayReport>;
  /** GET of the status server: "/readyz", "/metrics". */
  status(path: string): Promise<{ readonly code: number; readonly text: string }>;
  /** Replaces the configuration by rename, as an editor or an atomic mount does. */
  configure(config: RelayConfig): Promise<void>;
  /** kill -9, then the same relay again on the same spool; one that has ended is only started. */
  crashAndRestart(): Promise<void>;
  /** Resolves when the report satisfies `condition`; fails with the last report and the log. */
  until(condition: (report: RelayReport) => boolean, seconds?: number): Promise<RelayReport>;
}

export interface RelayProcessOptions {
  /** Builds the configuration once the port is known. */
  readonly config: (listenerPort: number) => RelayConfig;
  /** More files of the configuration folder: DKIM keys, password files. */
  readonly files?: Readonly<Record<string, string>>;
  readonly logLevel?: "debug" | "info" | "warn" | "error";
  /** A file for its log, instead of memory of this process: what a benchmark must not pay for. */
  readonly logFile?: string;
  /** A folder for the spool that is the caller's: another file system, for example. */
  readonly spoolDir?: string;
  /** Folder of a built product, to run that one; default: the sources of this repository. */
  readonly product?: string;
}

export async function startRelay(options: RelayProcessOptions): Promise<RelayProcess> {
  const directory = await mkdtemp(join(tmpdir(), "relay-"));
  const configDir = join(directory, "config");
  const spoolDir = options.spoolDir ?? join(directory, "spool");
  await mkdir(configDir);
  await mkdir(spoolDir, { recursive: true });
  const certificate = await makeCertificate("mail.example.test");
  const files = {
    [configFiles.certificate]: certificate.cert,
    [configFiles.certificateKey]: certificate.key,
    ...options.files,
  };
  for (const [name, content] of Object.entries(files)) await writeFile(join(configDir, name), content);

  const statusPort = await freePort();
  const shift = statusPort - STATUS_PORT;
  const port = await freePort();
  if (port - shift < 1024 || port - shift > 65_535) {
    // The shift moves every port alike; draw again until the listener's number stays a port.
    await rm(directory, { recursive: true });
    return startRelay(options);
  }
  const configure = async (config: RelayConfig) => {
    const draft = join(configDir, ".relay.json");
    await writeFile(draft, JSON.stringify(config));
    await rename(draft, join(configDir, configFiles.config));
  };
  await configure(options.config(port - shift));
  const adminSocket = join(directory, "admin.sock");

  const main = options.product === undefined ? "relay/main.ts" : join(options.product, "relay", "main.js");
  const start = async (): Promise<Program> => {
    const started = startProgram(process.execPath, [...relayNodeOptions, main], {
      cwd: join(import.meta.dirname, "../.."),
      env: {
        ...process.env,
        [bootVariables.podName]: POD,
        [bootVariables.configDir]: configDir,
        [bootVariables.spoolDir]: spoolDir,
        [bootVariables.adminSocket]: adminSocket,
        [bootVariables.bindAddress]: "127.0.0.1",
        [bootVariables.portShift]: String(shift),
        [bootVariables.logLevel]: options.logLevel ?? "info",
      },
      ...(options.logFile === undefined ? {} : { logFile: options.logFile }),
    });
    await untilListening(started, port);
    return started;
  };
  let program = await start();
  const report = async () => {
    const response = await fetch(`http://127.0.0.1:${statusPort}${statusPaths.report}`);
    return relayReport.parse(await response.json());
  };
  return {
    get program() {
      return program;
    },
    get pid() {
      return program.child.pid ?? -1;
    },
    port,
    shift,
    directory,
    adminSocket,
    report,
    async status(path) {
      const response = await fetch(`http://127.0.0.1:${statusPort}${path}`);
      return { code: response.status, text: await response.text() };
    },
    configure,
    async crashAndRestart() {
      program.child.kill("SIGKILL");
      await program.stop();
      program = await start();
    },
    async until(condition, seconds = 20) {
      let last: RelayReport | undefined;
      for (let attempt = 0; attempt < seconds * 20; attempt++) {
        last = await report().catch(() => last);
        if (last !== undefined && condition(last)) return last;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
      throw new Error(
        `The relay did not get there in ${seconds} s.\n${JSON.stringify(last, null, 1)}\n${program.output()}`,
      );
    },
    async [Symbol.asyncDispose]() {
      await program.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
