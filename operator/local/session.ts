/**
 * A person at local mode: what is said at the start, while it runs, and when it stops. Returns exit codes:
 * 0 stopped in order, 1 could not start, 130 ended at once by a second Ctrl-C.
 */
import { appendFileSync, mkdirSync } from "node:fs";
import { join, relative, resolve } from "node:path";

import { type Clock, systemClock } from "../../relay/kit/clock.ts";
import { createLog, type Log } from "../../relay/kit/log.ts";
import { systemRandom } from "../../relay/kit/random.ts";
import type { LocalOptions } from "./commandLine.ts";
import type { GitOpsOutcome } from "./gitops.ts";
import { type DnsChoice, RefusedAtStart } from "./localParts.ts";
import { type LocalMode, startLocalMode } from "./localMode.ts";
import { followLogs } from "./logs.ts";
import { statusRows, statusTable } from "./statusTable.ts";
import { type LiveView, standardTerminal, type Terminal } from "./terminal.ts";

export async function runLocal(options: LocalOptions): Promise<number> {
  const clock = systemClock;
  const terminal = standardTerminal(clock);
  const interrupts = new Interrupts();
  terminal.say("", `  smtp-relay-operator · local mode · ${options.folder}`, "");
  let local: LocalMode;
  try {
    local = await openLocal(options, withoutExtras(options.dns), clock, terminal);
  } catch (error) {
    sayFailedStart(terminal, error, options.state);
    return 1;
  }
  terminal.say(...startLines(local, options), "");
  if (local.firstOutcome.kind === "refused") sayOutcome(terminal, local.firstOutcome, clock);
  const untail = options.verbose
    ? followLogs(join(local.state.root, "logs"), clock, (line) => terminal.say(line))
    : () => {};
  terminal.show(() => statusView(local, clock));
  await interrupts.first;
  untail();
  return await stopLocal(local, terminal, interrupts);
}

function withoutExtras(dns: LocalOptions["dns"]): DnsChoice {
  return dns.kind === "loopback" ? { kind: "loopback", records: [] } : dns;
}

/** Starts local mode with its log in the state folder. */
export function openLocal(
  options: Pick<LocalOptions, "folder" | "state" | "deliveryPort" | "singleAddress">,
  dns: DnsChoice,
  clock: Clock,
  terminal: Terminal,
): Promise<LocalMode> {
  return startLocalMode({
    folder: options.folder,
    state: options.state,
    dns,
    deliveryPort: options.deliveryPort,
    singleAddress: options.singleAddress,
    clock,
    random: systemRandom,
    log: operatorLog(options.state, clock),
    onOutcome: (outcome) => sayOutcome(terminal, outcome, clock),
  });
}

/** First Ctrl-C: in order, and this resolves. Second: at once. */
export class Interrupts {
  readonly first: Promise<void>;
  readonly second: Promise<void>;

  constructor() {
    const first = Promise.withResolvers<void>();
    const second = Promise.withResolvers<void>();
    let heard = 0;
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
      process.on(signal, () => {
        if (heard++ === 0) first.resolve();
        else second.resolve();
      });
    }
    this.first = first.promise;
    this.second = second.promise;
  }
}

export async function stopLocal(
  local: LocalMode,
  terminal: Terminal,
  interrupts: Interrupts,
): Promise<number> {
  terminal.freeze();
  terminal.say("", "  Stopping: relays finish what is in flight. Ctrl-C again ends at once.");
  const how = await Promise.race([
    local.stop().then(() => "stopped"),
    interrupts.second.then(() => "killed"),
  ]);
  const kept = `Mail that waits is kept in ${shown(join(local.state.root, "volumes"))}; the next start goes on with it.`;
  if (how === "stopped") {
    terminal.say(`  Stopped. ${kept}`, "");
    return 0;
  }
  local.kill();
  terminal.say(`  Ended at once. ${kept}`, "");
  // What hangs must not keep the process: the person has asked twice.
  process.exit(130);
}

export function statusView(local: LocalMode, clock: Clock): LiveView {
  const rows = statusRows(local.objects());
  const table = (width: number | null) => statusTable(rows, clock.now(), width === null ? null : width - 2);
  return {
    key: JSON.stringify(rows),
    lines: (width) => table(width).map((line) => `  ${line}`),
  };
}

export function sayOutcome(terminal: Terminal, outcome: GitOpsOutcome, clock: Clock): void {
  const time = new Date(clock.now()).toTimeString().slice(0, 8);
  if (outcome.kind === "refused") {
    terminal.say(
      `  ✖ ${time} refused, the last good state stays in force:`,
      ...outcome.lines.map((line) => `      ${line}`),
      "",
    );
    return;
  }
  const what = outcome.changes.map((change) => `${change.what} ${change.verb}`).join(", ");
  terminal.say(`  ✔ ${time} applied: ${what === "" ? "nothing changed" : what}`, "");
}

export function sayFailedStart(terminal: Terminal, error: unknown, state: string): void {
  if (error instanceof RefusedAtStart) {
    terminal.say(`  ✖ ${error.message}`, ...error.lines.map((line) => `      ${line}`), "");
    return;
  }
  const message = error instanceof Error ? error.message : String(error);
  terminal.say(
    `  ✖ ${message}`,
    `    What happened before is in ${shown(join(resolve(state), "logs", "operator.log"))}.`,
    "",
  );
}

function startLines(local: LocalMode, options: LocalOptions): string[] {
  const lines = [
    `  state        ${shown(local.state.root)} (queue, keys, ramps; logs/, status/, secrets/)`,
    ...submissionLines(local),
    `  look         npx smtp-relay queue --state ${shown(local.state.root)}`,
    `  change       edit a file in ${options.folder} and save: it is applied at once`,
  ];
  if (local.zone !== null)
    lines.push(`  DNS          ${local.zone.host}:${local.zone.port} publishes the records asked for`);
  return [...lines, ...noticeLines(local)];
}

/** What differs from what was wished for: ports taken, addresses missing, processes found. */
export function noticeLines(local: LocalMode): string[] {
  const lines: string[] = [];
  for (const { plannedPort, localPort } of local.ports()) {
    if (plannedPort !== localPort)
      lines.push(`  note         port ${plannedPort} is taken; ${localPort} is used in its place`);
  }
  if (!local.loopbackRange) {
    lines.push(
      "  note         only 127.0.0.1 is up here: mail leaves from it, and ports tell the pods apart",
    );
  }
  if (local.orphans.length > 0) {
    lines.push(
      `  note         stopped what a former local mode had left running: ${local.orphans.join(", ")}`,
    );
  }
  return lines;
}

function submissionLines(local: LocalMode): string[] {
  return local.objects().flatMap((object) => {
    if (object.kind !== "SmtpRelay") return [];
    const credential = object.spec.auth.credentials[0]?.name ?? "app";
    return [
      `  submission   ${submissionText(local, object.metadata.namespace, object.metadata.name)}`,
      `  password     ${shown(join(local.state.secrets, `${object.metadata.name}-${credential}`))} (user name, password, URI as files)`,
    ];
  });
}

/** "127.0.0.1:1587 (STARTTLS) and :1465 (TLS)". */
export function submissionText(local: LocalMode, namespace: string, relay: string): string {
  const found = local
    .objects()
    .find(
      (object) =>
        object.kind === "SmtpRelay" &&
        object.metadata.namespace === namespace &&
        object.metadata.name === relay,
    );
  const listeners = found?.kind === "SmtpRelay" ? found.spec.listeners : [];
  const parts = local
    .ports()
    .filter((port) => port.namespace === namespace && port.relay === relay)
    .map(({ port, localPort }) => {
      const implicit = listeners.find((listener) => listener.port === port)?.tls === "Implicit";
      return `:${localPort} (${implicit ? "TLS" : "STARTTLS"})`;
    });
  return `127.0.0.1${parts.join(" and ")}`;
}

/** The path as a person in this folder would write it. */
export function shown(path: string): string {
  const near = relative(process.cwd(), path);
  return near.startsWith("..") ? path : `./${near}`;
}

function operatorLog(state: string, clock: Clock): Log {
  const folder = join(resolve(state), "logs");
  const file = join(folder, "operator.log");
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  return createLog({
    clock,
    level: "info",
    privacy: () => "Hashed",
    write: (line) => {
      try {
        appendFileSync(file, line, { mode: 0o600 });
      } catch {
        // A disk that takes no log must not stop mail.
      }
    },
  });
}
