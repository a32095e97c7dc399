/**
 * The relays under test: ours with its fault points, Postfix, and any other by its start command. Each is a
 * process (with its descendants) that is killed with -9 and started again on the same folders.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";

import { bootVariables, configFiles, STATUS_PORT, statusPaths } from "../../relay/contract/endpoints.ts";
import type { RelayReport } from "../../relay/contract/report.ts";
import { makeCertificate } from "../support/certificate.ts";
import { peerProgram } from "../support/peers/debian.ts";
import { runProgram } from "../support/peers/program.ts";
import { startPostfix, tunedRelaySettings } from "../support/peers/postfix.ts";
import { POD, smarthostRoute, testConfig } from "../support/relayProcess.ts";
import { bundleRelay } from "./points/bundle.ts";
import type { Point, PointUse } from "./points/table.ts";

/** Where a life of ours shall end by itself. */
export interface Aim {
  readonly use: PointUse;
  /** At which of its passes. */
  readonly nth: number;
}

export interface StartOptions {
  readonly aim?: Aim | undefined;
  /** Added to the environment, for example a preloaded disk. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onRecorded: (key: string) => void;
}

export interface Life {
  /** Resolves when every process of it is gone. */
  readonly ended: Promise<void>;
  /** The point it ended at by itself. */
  readonly hit: Point | null;
  output(): string;
  /** kill -9 of all of it. */
  kill(): void;
  /** In order, by SIGTERM. */
  stop(): Promise<void>;
}

export interface Target extends AsyncDisposable {
  readonly name: string;
  readonly host: string;
  readonly port: number;
  /** Folders whose disk may lose power. */
  readonly spoolFolders: readonly string[];
  /** Tells what it has recorded, so that what is in flight is known exactly. */
  readonly tellsRecords: boolean;
  /** Whether its next life is the first on its folder. */
  isFresh(): boolean;
  start(options: StartOptions): Life;
  /** Whether its queue is empty; null when only the sink can tell. */
  isEmpty(): Promise<boolean | null>;
  /** Why it does not go on, in its own words, for one that is stuck. */
  says?(): Promise<string>;
}

export type TargetKind = (world: {
  readonly sinkPort: number;
  /** For this relay alone. */
  readonly folder: string;
  /** What lives of all lanes keep. */
  readonly shared: string;
}) => Promise<Target>;

/** Small, so that rolls, checkpoints and compactions come in every life. */
const sizes = {
  segmentBytes: 65_536,
  checkpointBytes: 16_384,
  compactionSlackBytes: 8192,
  inlineBytes: 16_384,
};

/** One certificate for all lanes: making one takes longer than a life. */
let certificate: ReturnType<typeof makeCertificate> | undefined;

let program: Promise<string> | undefined;

/** The relay with its points in one file, compiled once: a start that ends in order keeps what it compiled. */
async function makeProgram(shared: string): Promise<string> {
  const file = join(shared, "relay.mjs");
  await bundleRelay(file);
  const life = startLife({
    command: process.execPath,
    args: [file],
    alone: true,
    onRecorded: () => {},
    // Without a name it ends at once.
    env: { NODE_COMPILE_CACHE: join(shared, "compiled"), [bootVariables.podName]: "" },
  });
  await life.ended;
  return file;
}

export const ours: TargetKind = async ({ sinkPort, folder, shared }) => {
  const directory = await mkdtemp(join(folder, "relay-"));
  const configDir = join(directory, "config");
  const spool = join(directory, "spool");
  for (const path of [configDir, spool]) await mkdir(path);
  const [port, statusPort] = [await claimPort(), await claimPort()];
  const shift = statusPort - STATUS_PORT;
  const config = testConfig({
    listenerPort: port - shift,
    routes: [smarthostRoute(sinkPort)],
    queue: { expireAfterSeconds: 432_000, retry: { firstDelaySeconds: 1, longestDelaySeconds: 1 } },
  });
  program ??= makeProgram(shared);
  const file = await program;
  certificate ??= makeCertificate("mail.example.test");
  const { cert, key } = await certificate;
  await writeFile(join(configDir, configFiles.certificate), cert);
  await writeFile(join(configDir, configFiles.certificateKey), key);
  await writeFile(join(configDir, configFiles.config), JSON.stringify(config));
  return {
    name: "ours",
    host: "127.0.0.1",
    port,
    spoolFolders: [spool],
    tellsRecords: true,
    isFresh: () => !existsSync(join(spool, "spool.json")),
    start: ({ aim, env, onRecorded }) =>
      startLife({
        command: process.execPath,
        args: [file],
        alone: true,
        onRecorded,
        env: {
          [bootVariables.podName]: POD,
          [bootVariables.configDir]: configDir,
          [bootVariables.spoolDir]: spool,
          [bootVariables.adminSocket]: join(directory, "admin.sock"),
          [bootVariables.bindAddress]: "127.0.0.1",
          [bootVariables.portShift]: String(shift),
          [bootVariables.logLevel]: "error",
          // Start in half the time: what is compiled is kept between lives.
          NODE_COMPILE_CACHE: join(shared, "compiled"),
          CRASH_SIZES: JSON.stringify(sizes),
          ...(aim === undefined
            ? {}
            : {
                CRASH_POINT: `${aim.use.point}#${aim.nth}`,
                ...(aim.use.failing === undefined ? {} : { CRASH_FAILING: aim.use.failing }),
              }),
          ...env,
        },
      }),
    async isEmpty() {
      try {
        const report = await reportOf(statusPort);
        return report.appliedRevision !== null && report.queue.messages === 0;
      } catch {
        return false;
      }
    },
    async says() {
      try {
        const { appliedRevision, refusal, notReadyReason, queue } = await reportOf(statusPort);
        return JSON.stringify({ appliedRevision, refusal, notReadyReason, queue });
      } catch (error) {
        return `no report: ${String(error)}`;
      }
    },
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
};

async function reportOf(statusPort: number): Promise<RelayReport> {
  const response = await fetch(`http://127.0.0.1:${statusPort}${statusPaths.report}`);
  return (await response.json()) as RelayReport;
}

/** Folders of Postfix's queue that hold messages, and what it remembers of their recipients. */
const postfixQueues = ["maildrop", "incoming", "active", "deferred", "hold", "corrupt", "defer", "bounce"];

export const postfix: TargetKind = async ({ sinkPort }) => {
  const instance = await startPostfix({
    settings: {
      ...tunedRelaySettings({ host: "127.0.0.1", port: sinkPort }),
      smtpd_relay_restrictions: "permit_mynetworks, reject",
      minimal_backoff_time: "1s",
      maximal_backoff_time: "1s",
      queue_run_delay: "1s",
      // Kills are no reason to start slowly.
      service_throttle_time: "1s",
      import_environment:
        "MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ XAUTHORITY DISPLAY LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME LD_PRELOAD CRASH_DISK CRASH_DISK_FOLDERS",
    },
  });
  const { host, port, queueDirectory } = instance;
  const configDirectory = join(queueDirectory, "..", "etc");
  await runProgram(peerProgram("postfix"), ["-c", configDirectory, "stop"]);
  await instance.program.stop();
  // A message that a second look found "still being delivered" waits for the queue manager's next waking.
  const services = join(configDirectory, "master.cf");
  await writeFile(services, (await readFile(services, "utf8")).replace(/300 1 qmgr/, "2 1 qmgr"));
  return {
    name: "postfix",
    host,
    port,
    spoolFolders: postfixQueues.map((queue) => join(queueDirectory, queue)),
    tellsRecords: false,
    isFresh: () => false,
    start: ({ env, onRecorded }) =>
      // What `postfix start-fg` ends in, without the second it takes to check its folders.
      startLife({
        command: "/usr/lib/postfix/sbin/master",
        args: ["-c", configDirectory, "-d"],
        alone: false,
        onRecorded,
        env: { MAIL_CONFIG: configDirectory, ...env },
      }),
    async isEmpty() {
      for (const queue of ["maildrop", "incoming", "active", "deferred", "hold", "corrupt"]) {
        const names = await readdir(join(queueDirectory, queue), { recursive: true }).catch(() => []);
        for (const name of names) {
          // One that was never finished has no right to be executed, and was never answered for.
          const status = await stat(join(queueDirectory, queue, name)).catch(() => null);
          if (status?.isFile() === true && (status.mode & 0o100) !== 0) return false;
        }
      }
      return true;
    },
    [Symbol.asyncDispose]: () => instance[Symbol.asyncDispose](),
  };
};

/** Any relay: where it listens, and the command that starts it in the foreground. */
export function byCommand(options: {
  command: string;
  host: string;
  port: number;
  spoolFolders: readonly string[];
}): TargetKind {
  return () =>
    Promise.resolve({
      name: options.command,
      host: options.host,
      port: options.port,
      spoolFolders: options.spoolFolders,
      tellsRecords: false,
      isFresh: () => false,
      start: ({ env, onRecorded }) =>
        startLife({
          command: "/bin/sh",
          args: ["-c", options.command],
          alone: false,
          onRecorded,
          ...(env === undefined ? {} : { env }),
        }),
      isEmpty: () => Promise.resolve(null),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
}

interface LifeOptions {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** It starts no processes of its own. */
  readonly alone: boolean;
  readonly onRecorded: (key: string) => void;
}

function startLife({ command, args, env, alone, onRecorded }: LifeOptions): Life {
  const child = spawn(command, args, {
    env: { ...process.env, ...env },
    // A group of its own, so that a kill ends all of it and nothing else.
    detached: true,
    stdio: ["ignore", "pipe", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr] as Readable[]) {
    stream.on("data", (chunk: Buffer) => (output = (output + chunk.toString("utf8")).slice(-16_384)));
  }
  child.on("error", (error) => (output += `${command}: ${error.message}\n`));
  let hit: Point | null = null;
  const told = lines(child, (line) => {
    if (line.startsWith("hit ")) hit = line.slice(4) as Point;
    else if (line.startsWith("recorded ")) for (const key of line.slice(9).split(" ")) onRecorded(key);
  });
  const exited = new Promise<void>((resolve) => {
    child.once("exit", () => resolve());
    child.once("error", () => resolve());
  });
  const groups = new Set<number>(child.pid === undefined ? [] : [child.pid]);
  const killAll = () => {
    const signal = (group: number) => {
      try {
        process.kill(-group, "SIGKILL");
      } catch {
        // Gone already.
      }
    };
    if (alone) return groups.forEach(signal);
    // A family that forks while it is counted is counted again.
    for (let found = groupsOf(groups); found.length > 0; found = groupsOf(groups)) {
      for (const group of found) {
        groups.add(group);
        signal(group);
      }
    }
  };
  const ended = (async () => {
    await exited;
    if (!alone) killAll();
    await told;
  })();
  return {
    ended,
    get hit() {
      return hit;
    },
    output: () => output,
    kill: killAll,
    async stop() {
      if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
      const late = setTimeout(killAll, 20_000);
      await ended;
      clearTimeout(late);
    },
  };
}

/** Reads descriptor 3 line by line; resolves at its end, which comes when the process is gone. */
function lines(child: ChildProcess, onLine: (line: string) => void): Promise<void> {
  const stream = child.stdio[3] as Readable;
  let text = "";
  return new Promise((resolve) => {
    stream.on("data", (chunk: Buffer) => {
      text += chunk.toString("latin1");
      const whole = text.split("\n");
      text = whole.pop() ?? "";
      for (const line of whole) onLine(line);
    });
    stream.on("close", () => resolve());
    stream.on("error", () => {});
  });
}

/** Living process groups of these groups' and sessions' members and their descendants. */
function groupsOf(groups: ReadonlySet<number>): number[] {
  const rows = processes();
  const family = new Set<number>();
  let size = -1;
  while (size !== family.size) {
    size = family.size;
    for (const { pid, parent, group, session } of rows) {
      if (groups.has(group) || groups.has(session) || family.has(parent)) family.add(pid);
    }
  }
  return [...new Set(rows.filter(({ pid }) => family.has(pid)).map(({ group }) => group))];
}

function processes(): { pid: number; parent: number; group: number; session: number }[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  return pids.flatMap((name) => {
    const pid = Number(name);
    let stat: string;
    try {
      stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    } catch {
      return [];
    }
    // proc(5): state, parent, group and session follow the name, which may hold spaces.
    const [state, parent, group, session] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return state === "Z"
      ? []
      : [{ pid, parent: Number(parent), group: Number(group), session: Number(session) }];
  });
}

/** The listener's port and the status server's, so far apart that the shifted numbers stay ports. */
const claimed = new Set<number>();

/**
 * A port that is this round's for as long as the run lasts. A relay that is killed leaves it free for a moment: below
 * the system's own range (32768 on Linux) no connection gets it then, and no other lane.
 */
async function claimPort(): Promise<number> {
  for (let port = 12_000 + (process.pid % 500) * 20; port < 32_000; port++) {
    if (claimed.has(port) || !(await isFree(port))) continue;
    claimed.add(port);
    return port;
  }
  throw new Error("Cannot find a free port below 32000.");
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const listening = new Promise<boolean>((resolve) => {
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => resolve(true));
  });
  if (!(await listening)) return false;
  server.close();
  await once(server, "close");
  return true;
}
