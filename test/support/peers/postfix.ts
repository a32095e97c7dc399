/**
 * Debian's Postfix as a peer, an instance of its own on loopback: as a receiving MTA with mailboxes that
 * can be read back, or as a relay towards a smart host (the measure of the benchmark).
 *
 * Needs root, as Postfix does. Only the folders and processes made here are touched; the machine's own
 * Postfix configuration is not read.
 */
import { randomUUID } from "node:crypto";
import { chmod, chown, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { peerProgram } from "./debian.ts";
import { freePort, type Program, runProgram, startProgram, untilListening } from "./program.ts";

/** Debian's fixed locations of Postfix's own programs. */
const DAEMONS = "/usr/lib/postfix/sbin";
/** nobody: owner of the mailboxes. */
const MAILBOX_UID = 65_534;

export interface Postfix extends AsyncDisposable {
  readonly port: number;
  readonly host: string;
  /** Process id of the master, whose children are Postfix's programs. */
  readonly masterPid: number;
  readonly queueDirectory: string;
  readonly program: Program;
  /** Raw messages delivered to the mailbox so far. */
  mailbox(address: string): Promise<readonly Buffer[]>;
  log(): Promise<string>;
}

export interface PostfixOptions {
  readonly host?: string;
  readonly port?: number;
  /** Lines of main.cf added last, so that they win. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Domains whose every local part is a mailbox. */
  readonly mailboxDomains?: readonly string[];
  /** PEM files; with them STARTTLS is offered. */
  readonly certificate?: { readonly certFile: string; readonly keyFile: string };
}

export async function startPostfix(options: PostfixOptions = {}): Promise<Postfix> {
  const host = options.host ?? "127.0.0.1";
  const port = options.port ?? (await freePort(host));
  const base = await mkdtemp(join(tmpdir(), "postfix-"));
  // Postfix's programs, which run as their own user, must reach their folders.
  await chmod(base, 0o755);
  const paths = {
    config: join(base, "etc"),
    queue: join(base, "queue"),
    data: join(base, "data"),
    mail: join(base, "mail"),
  };
  for (const path of Object.values(paths)) await mkdir(path);
  const { uid, gid } = await userIds("postfix");
  await chown(paths.data, uid, gid);
  await chown(paths.mail, MAILBOX_UID, MAILBOX_UID);
  const logFile = join(base, "mail.log");
  const domains = options.mailboxDomains ?? [];

  const settings: Record<string, string> = {
    compatibility_level: "3.6",
    queue_directory: paths.queue,
    data_directory: paths.data,
    daemon_directory: DAEMONS,
    command_directory: "/usr/sbin",
    shlib_directory: "/usr/lib/postfix",
    meta_directory: paths.config,
    mail_owner: "postfix",
    setgid_group: "postdrop",
    // Postfix knows only addresses an interface names; master.cf binds any address of 127.0.0.0/8.
    inet_interfaces: "127.0.0.1",
    inet_protocols: "ipv4",
    myhostname: "mx.inbox.test",
    mydestination: "",
    mynetworks: "127.0.0.0/8",
    alias_maps: "",
    alias_database: "",
    local_recipient_maps: "",
    biff: "no",
    smtpd_banner: "mx.inbox.test ESMTP",
    // RFC 5321: a receiver takes mail for its own domains only.
    smtpd_relay_restrictions: "reject_unauth_destination",
    maillog_file: logFile,
    maillog_file_prefixes: base,
    multi_instance_name: `postfix-${randomUUID().slice(0, 8)}`,
    ...(domains.length > 0
      ? {
          virtual_mailbox_domains: domains.join(", "),
          virtual_mailbox_base: paths.mail,
          virtual_mailbox_maps: "static:all/",
          virtual_uid_maps: `static:${MAILBOX_UID}`,
          virtual_gid_maps: `static:${MAILBOX_UID}`,
          virtual_minimum_uid: "100",
        }
      : {}),
    ...(options.certificate === undefined
      ? { smtpd_tls_security_level: "none" }
      : {
          smtpd_tls_cert_file: options.certificate.certFile,
          smtpd_tls_key_file: options.certificate.keyFile,
          smtpd_tls_security_level: "may",
          smtpd_tls_received_header: "yes",
        }),
    ...options.settings,
  };
  await writeFile(
    join(paths.config, "main.cf"),
    Object.entries(settings)
      .map(([name, value]) => `${name} = ${value}\n`)
      .join(""),
  );
  await writeFile(join(paths.config, "master.cf"), masterCf(host, port));
  for (const file of ["postfix-files", "dynamicmaps.cf"]) {
    await cp(join("/etc/postfix", file), join(paths.config, file)).catch(() => {});
  }

  const program = startProgram(peerProgram("postfix"), ["-c", paths.config, "start-fg"]);
  await untilListening(program, port, host).catch(async (cause: unknown) => {
    throw new Error(`Postfix does not start:\n${await readFile(logFile, "utf8").catch(() => "no log")}`, {
      cause,
    });
  });
  const masterPid = Number((await readFile(join(paths.queue, "pid", "master.pid"), "utf8")).trim());
  return {
    port,
    host,
    masterPid,
    queueDirectory: paths.queue,
    program,
    // Every recipient of a mailbox domain lands in one Maildir; X-Original-To and Delivered-To tell them apart.
    async mailbox(address) {
      const folder = join(paths.mail, "all", "new");
      const names = await readdir(folder).catch(() => []);
      const messages = await Promise.all(
        names.toSorted((a, b) => a.localeCompare(b)).map((name) => readFile(join(folder, name))),
      );
      return messages.filter((message) =>
        message.toString("latin1").toLowerCase().includes(`\ndelivered-to: ${address.toLowerCase()}\n`),
      );
    },
    log: () => readFile(logFile, "utf8").catch(() => ""),
    async [Symbol.asyncDispose]() {
      await runProgram(peerProgram("postfix"), ["-c", paths.config, "stop"]).catch(() => {});
      await program.stop();
      await rm(base, { recursive: true, force: true });
    },
  };
}

/** Settings of the relay the benchmark measures against: what a careful administrator would set. */
export function tunedRelaySettings(nextHop: {
  readonly host: string;
  readonly port: number;
}): Record<string, string> {
  return {
    relayhost: `[${nextHop.host}]:${nextHop.port}`,
    default_process_limit: "200",
    in_flow_delay: "0",
    default_destination_concurrency_limit: "50",
    initial_destination_concurrency: "20",
    smtp_connection_cache_destinations: `[${nextHop.host}]:${nextHop.port}`,
    smtp_connection_cache_on_demand: "yes",
    qmgr_message_active_limit: "100000",
    qmgr_message_recipient_limit: "100000",
    smtpd_client_connection_count_limit: "0",
    smtpd_client_connection_rate_limit: "0",
    smtp_tls_security_level: "none",
    smtp_host_lookup: "native",
    disable_dns_lookups: "yes",
  };
}

function masterCf(host: string, port: number): string {
  const service = (...columns: string[]) => columns.join(" ");
  return [
    service(`${host}:${port}`, "inet", "n", "-", "n", "-", "-", "smtpd"),
    service("pickup", "unix", "n", "-", "n", "60", "1", "pickup"),
    service("cleanup", "unix", "n", "-", "n", "-", "0", "cleanup"),
    service("qmgr", "unix", "n", "-", "n", "300", "1", "qmgr"),
    service("tlsmgr", "unix", "-", "-", "n", "1000?", "1", "tlsmgr"),
    service("rewrite", "unix", "-", "-", "n", "-", "-", "trivial-rewrite"),
    service("bounce", "unix", "-", "-", "n", "-", "0", "bounce"),
    service("defer", "unix", "-", "-", "n", "-", "0", "bounce"),
    service("trace", "unix", "-", "-", "n", "-", "0", "bounce"),
    service("verify", "unix", "-", "-", "n", "-", "1", "verify"),
    service("flush", "unix", "n", "-", "n", "1000?", "0", "flush"),
    service("proxymap", "unix", "-", "-", "n", "-", "-", "proxymap"),
    service("smtp", "unix", "-", "-", "n", "-", "-", "smtp"),
    service("relay", "unix", "-", "-", "n", "-", "-", "smtp"),
    service("showq", "unix", "n", "-", "n", "-", "-", "showq"),
    service("error", "unix", "-", "-", "n", "-", "-", "error"),
    service("retry", "unix", "-", "-", "n", "-", "-", "error"),
    service("discard", "unix", "-", "-", "n", "-", "-", "discard"),
    service("tlsproxy", "unix", "-", "-", "n", "-", "0", "tlsproxy"),
    service("virtual", "unix", "-", "n", "n", "-", "-", "virtual"),
    service("anvil", "unix", "-", "-", "n", "-", "1", "anvil"),
    service("scache", "unix", "-", "-", "n", "-", "1", "scache"),
    service("postlog", "unix-dgram", "n", "-", "n", "-", "1", "postlogd"),
    "",
  ].join("\n");
}

async function userIds(user: string): Promise<{ uid: number; gid: number }> {
  const line = (await readFile("/etc/passwd", "utf8")).split("\n").find((row) => row.startsWith(`${user}:`));
  if (line === undefined) throw new Error(`Cannot start Postfix: there is no user ${user} on this machine.`);
  const [, , uid, gid] = line.split(":");
  return { uid: Number(uid), gid: Number(gid) };
}
