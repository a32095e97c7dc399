/**
 * TLS around tools that speak none: Debian's stunnel does STARTTLS in front of a relay for smtp-source, and
 * offers it in front of smtp-sink. Both peers get the same ones, in processes that are not theirs.
 */
import { chmod, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { peerProgram } from "../support/peers/debian.ts";
import { freePort, startProgram, untilListening } from "../support/peers/program.ts";
import { testAuthority } from "../support/testCertificate.ts";

export interface Tunnel extends AsyncDisposable {
  /** Where plain text goes in ("client") or TLS does ("server"). */
  readonly port: number;
}

export async function startTunnel(side: "client" | "server", towards: number): Promise<Tunnel> {
  const port = await freePort();
  const base = await mkdtemp(join(tmpdir(), "stunnel-"));
  const { cert, key } = testAuthority().issue("sink.example.test");
  const pem = join(base, "sink.pem");
  await writeFile(pem, `${key}${cert}`);
  await chmod(pem, 0o600);
  const config = join(base, "stunnel.conf");
  await writeFile(
    config,
    [
      "foreground = yes",
      "debug = err",
      "pid =",
      "[smtp]",
      `client = ${side === "client" ? "yes" : "no"}`,
      "protocol = smtp",
      `accept = 127.0.0.1:${port}`,
      `connect = 127.0.0.1:${towards}`,
      ...(side === "server" ? [`cert = ${pem}`] : ["verifyChain = no"]),
      "",
    ].join("\n"),
  );
  const program = startProgram(peerProgram("stunnel4"), [config]);
  await untilListening(program, port);
  return {
    port,
    async [Symbol.asyncDispose]() {
      await program.stop();
      await rm(base, { recursive: true, force: true });
    },
  };
}
