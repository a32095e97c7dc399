/**
 * The real peers of the tests, from Debian: what each is for, whether it is here, and how it gets here.
 *
 * With root on a Debian-like machine the missing ones are installed; anywhere else the tests say which
 * packages to install. Daemons are never started by the installation: the tests start their own, on
 * loopback, with their own folders.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Peer {
  /** Program on the PATH (the sbin folders included), or path of a file, that shows the package is there. */
  readonly program: string;
  readonly package: string;
  readonly purpose: string;
}

export const peers: readonly Peer[] = [
  { program: "nsd", package: "nsd", purpose: "authoritative DNS server" },
  { program: "unbound", package: "unbound", purpose: "validating resolver" },
  {
    program: "postfix",
    package: "postfix",
    purpose: "receiving and comparing MTA, with smtp-source and smtp-sink",
  },
  { program: "swaks", package: "swaks", purpose: "SMTP client with TLS and AUTH" },
  { program: "perl:Net::SSLeay", package: "libnet-ssleay-perl", purpose: "TLS for swaks" },
  { program: "python3:dkim", package: "python3-dkim", purpose: "independent DKIM verifier" },
  { program: "stunnel4", package: "stunnel4", purpose: "TLS for the bench's load tools" },
  { program: "strace", package: "strace", purpose: "counts of system calls in the bench" },
  { program: "dig", package: "bind9-dnsutils", purpose: "independent DNS client" },
];

const folders = ["/usr/local/sbin", "/usr/sbin", "/sbin", ...(process.env["PATH"] ?? "").split(":")];

/** Absolute path of a program of a peer; throws with the package to install when it is not there. */
export function peerProgram(program: string): string {
  const path = findProgram(program);
  if (path !== undefined) return path;
  const owner = peers.find((peer) => peer.program === program)?.package ?? program;
  throw new Error(
    `Cannot find ${program}: install the Debian package ${owner} (npm test does it with root).`,
  );
}

/** Debian's own Python, which sees Debian's Python packages. */
export const debianPython = "/usr/bin/python3";

export function missingPeers(wanted: readonly Peer[] = peers): readonly Peer[] {
  return wanted.filter((peer) => {
    switch (peer.program) {
      case "python3:dkim":
        return spawnSync(debianPython, ["-c", "import dkim, nacl"]).status !== 0;
      case "perl:Net::SSLeay":
        return spawnSync("/usr/bin/perl", ["-MNet::SSLeay", "-e", "1"]).status !== 0;
      default:
        return peer.program.startsWith("/")
          ? !existsSync(peer.program)
          : findProgram(peer.program) === undefined;
    }
  });
}

export type Installation =
  | { readonly kind: "present" }
  | { readonly kind: "installed"; readonly packages: readonly string[] }
  | { readonly kind: "impossible"; readonly reason: string };

/** Installs what is missing of `wanted`. Prints what it does, since it takes up to a minute on a new machine. */
export function installPeers(print: (line: string) => void, wanted: readonly Peer[] = peers): Installation {
  const missing = missingPeers(wanted);
  if (missing.length === 0) return { kind: "present" };
  const packages = missing.map((peer) => peer.package);
  const byHand = `install them by hand: apt-get install --no-install-recommends ${packages.join(" ")}`;
  if (findProgram("apt-get") === undefined) {
    return { kind: "impossible", reason: `this is no Debian-like machine; it needs ${packages.join(", ")}` };
  }
  if (process.getuid?.() !== 0) return { kind: "impossible", reason: `without root; ${byHand}` };

  print(`installing from Debian: ${packages.join(" ")} …`);
  const release = forbidServiceStarts();
  try {
    const environment = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    const install = ["install", "-y", "-qq", "--no-install-recommends", ...packages];
    const attempt = (args: readonly string[]) =>
      spawnSync("apt-get", args, { env: environment, stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" });
    attempt(["update", "-qq"]);
    const done = attempt(install);
    const still = missingPeers(wanted).map((peer) => peer.package);
    if (still.length > 0) {
      return {
        kind: "impossible",
        reason: `apt-get did not bring ${still.join(", ")} (${done.stderr.trim().split("\n").at(-1) ?? ""}); ${byHand}`,
      };
    }
    return { kind: "installed", packages };
  } finally {
    release();
  }
}

/** Debian's own switch against starting daemons while packages are installed; left alone if it is set already. */
function forbidServiceStarts(): () => void {
  const policy = "/usr/sbin/policy-rc.d";
  if (existsSync(policy)) return () => {};
  writeFileSync(policy, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  return () => rmSync(policy, { force: true });
}

export function findProgram(program: string): string | undefined {
  return folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
}

/** Version line of a peer, for reports. */
export function peerVersion(program: string, args: readonly string[]): string {
  return execFileSync(peerProgram(program), args, { encoding: "utf8" }).trim().split("\n")[0] ?? "";
}
