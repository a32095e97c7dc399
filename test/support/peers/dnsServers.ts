/** Debian's NSD (authoritative) and Unbound (validating resolver) on loopback, for one test file. */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { peerProgram } from "./debian.ts";
import { freePort, type Program, startProgram, untilListening } from "./program.ts";

export interface NameServer extends AsyncDisposable {
  /** "127.0.0.1:port" */
  readonly address: string;
  readonly port: number;
  readonly program: Program;
}

/** Serves zones given as zone-file text by origin, for example { "example.test": "$TTL 60\n@ IN SOA …" }. */
export async function startNsd(
  zones: Readonly<Record<string, string>>,
  wantedPort?: number,
): Promise<NameServer> {
  const directory = await mkdtemp(join(tmpdir(), "nsd-"));
  await chmod(directory, 0o755);
  const port = wantedPort ?? (await freePort());
  const zoneClauses: string[] = [];
  for (const [origin, text] of Object.entries(zones)) {
    const file = join(directory, `${origin}.zone`);
    await writeFile(file, text);
    zoneClauses.push(`zone:\n  name: "${origin}"\n  zonefile: "${file}"\n`);
  }
  const config = join(directory, "nsd.conf");
  await writeFile(
    config,
    `server:
  ip-address: 127.0.0.1@${port}
  username: ""
  chroot: ""
  zonesdir: "${directory}"
  database: ""
  pidfile: "${directory}/nsd.pid"
  xfrdfile: "${directory}/xfrd.state"
  zonelistfile: "${directory}/zone.list"
  xfrdir: "${directory}"
  server-count: 1
  refuse-any: no
remote-control:
  control-enable: no
${zoneClauses.join("")}`,
  );
  return serve(directory, port, startProgram(peerProgram("nsd"), ["-d", "-c", config]));
}

/** A resolver that asks `authority` for the given zones; their DNSSEC is not expected. */
export async function startUnbound(
  zones: readonly string[],
  authority: { readonly port: number },
): Promise<NameServer> {
  const directory = await mkdtemp(join(tmpdir(), "unbound-"));
  await chmod(directory, 0o755);
  const port = await freePort();
  const config = join(directory, "unbound.conf");
  const stubs = zones
    .map((zone) => `stub-zone:\n  name: "${zone}"\n  stub-addr: 127.0.0.1@${authority.port}\n`)
    .join("");
  await writeFile(
    config,
    `server:
  interface: 127.0.0.1@${port}
  port: ${port}
  username: ""
  chroot: ""
  directory: "${directory}"
  pidfile: "${directory}/unbound.pid"
  use-syslog: no
  logfile: ""
  do-not-query-localhost: no
  module-config: "validator iterator"
  access-control: 127.0.0.0/8 allow
  local-zone: "test." nodefault
  local-zone: "127.in-addr.arpa." nodefault
${zones.map((zone) => `  domain-insecure: "${zone}"`).join("\n")}
remote-control:
  control-enable: no
${stubs}`,
  );
  return serve(directory, port, startProgram(peerProgram("unbound"), ["-d", "-c", config]));
}

async function serve(directory: string, port: number, program: Program): Promise<NameServer> {
  await untilListening(program, port);
  return {
    address: `127.0.0.1:${port}`,
    port,
    program,
    async [Symbol.asyncDispose]() {
      await program.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
