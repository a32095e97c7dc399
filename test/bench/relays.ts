/** The relays of the benchmark: ours as it ships, and its peers, each fresh and on loopback. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { makeCertificate } from "../support/certificate.ts";
import { ed25519Pem, rsaPem } from "../support/dkimKeys.ts";
import { startPostfix, tunedRelaySettings } from "../support/peers/postfix.ts";
import { smarthostRoute, startRelay, testConfig } from "../support/relayProcess.ts";
import type { Setup } from "./cases.ts";
import { startHaraka } from "./haraka.ts";
import { shippedFolder } from "./shipped.ts";

export interface MeasuredRelay extends AsyncDisposable {
  readonly port: number;
  readonly pid: number;
}

export interface RelayKind {
  readonly name: string;
  /** Against which ours is compared; absent: ours. */
  start(sinkPort: number, setup: Setup): Promise<MeasuredRelay>;
}

/** All that a default installation has is on; logs go to a file, as Postfix's do. */
export const ours: RelayKind = {
  name: "smtp-relay",
  start: (sinkPort, setup) => startOurs({ sinkPort, setup }),
};

export async function startOurs(options: { sinkPort: number; setup: Setup }): Promise<MeasuredRelay> {
  const { sinkPort, setup } = options;
  const folder = await mkdtemp(join(tmpdir(), "relay-log-"));
  const route = smarthostRoute(sinkPort);
  const relay = await startRelay({
    product: shippedFolder(),
    logFile: join(folder, "relay.log"),
    ...(setup === "signed" ? { files: { "rsa.pem": rsaPem, "ed.pem": ed25519Pem } } : {}),
    config: (listenerPort) =>
      testConfig({
        listenerPort,
        routes: [
          {
            ...route,
            to: { ...route.to, ...(setup === "tls" ? { tls: "Required" } : {}) },
          },
        ],
        ...(setup === "signed"
          ? {
              domains: [
                {
                  domain: "example.test",
                  state: "Active",
                  reason: "",
                  dkim: [
                    { selector: "r", algorithm: "rsa-sha256", file: "rsa.pem" },
                    { selector: "e", algorithm: "ed25519-sha256", file: "ed.pem" },
                  ],
                },
              ],
            }
          : {}),
      }),
  });
  return {
    port: relay.port,
    pid: relay.pid,
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export const postfixTuned: RelayKind = {
  name: "postfix-tuned",
  async start(sinkPort, setup) {
    const folder = await mkdtemp(join(tmpdir(), "postfix-tls-"));
    const { cert, key } = await makeCertificate("mx.inbox.test");
    const certificate = { certFile: join(folder, "tls.crt"), keyFile: join(folder, "tls.key") };
    await writeFile(certificate.certFile, cert);
    await writeFile(certificate.keyFile, key);
    const postfix = await startPostfix({
      ...(setup === "tls" ? { certificate } : {}),
      settings: {
        ...tunedRelaySettings({ host: "127.0.0.1", port: sinkPort }),
        // A relay accepts for others than itself; loopback only.
        smtpd_relay_restrictions: "permit_mynetworks, reject",
        // Without it Postfix opens a connection for each message.
        ...(setup === "tls" ? { smtp_tls_security_level: "encrypt", smtp_tls_connection_reuse: "yes" } : {}),
      },
    });
    return {
      port: postfix.port,
      pid: postfix.masterPid,
      async [Symbol.asyncDispose]() {
        await postfix[Symbol.asyncDispose]();
        await rm(folder, { recursive: true, force: true });
      },
    };
  },
};

/** Postfix again under another name: its ratio to itself shows what noise there is. */
export const control: RelayKind = { ...postfixTuned, name: "postfix-tuned-again" };

export const haraka: RelayKind = { name: "haraka", start: (sinkPort) => startHaraka(sinkPort) };
