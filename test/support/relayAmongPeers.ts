/**
 * A relay process and the world it sends to, for stories about the whole program: a name server, one
 * scripted receiving server per recipient domain on an address of its own, and the operator's command.
 *
 *   await using world = await relayAmongPeers({ peers: { "good.test": smtpPeer() } });
 *   await world.send("one@good.test");
 *   await world.peer("good.test").until(() => …);
 */
import type { RelayConfig } from "../../relay/contract/config.ts";
import { type DnsServer, dnsServer, type ZoneEntry } from "./dnsServer.ts";
import { freePort, runProgram } from "./peers/program.ts";
import { type RelayProcess, type RelayProcessOptions, startRelay, testConfig } from "./relayProcess.ts";
import { SmtpClient } from "./smtpClient.ts";
import type { PeerMessage, PeerScript, SmtpPeer } from "./smtpPeer.ts";

export interface RelayAmongPeers extends AsyncDisposable {
  readonly relay: RelayProcess;
  readonly dns: DnsServer;
  /** The server that receives for a recipient domain. */
  peer(domain: string): SmtpPeer;
  /** The configuration of the start with these parts replaced. */
  readonly config: (overrides?: Partial<RelayConfig>) => RelayConfig;
  /** Replaces the configuration and waits until its revision is in force. */
  apply(overrides: Partial<RelayConfig> & { readonly revision: string }): Promise<void>;
  /** Submits a small message in a session of its own. Returns its queue id. */
  send(...recipients: readonly string[]): Promise<string>;
  /** A session after EHLO. */
  client(): Promise<SmtpClient>;
  /** The `smtp-relay` command against this relay; what it prints. */
  cli(...words: readonly string[]): Promise<string>;
}

export interface RelayAmongPeersOptions extends Pick<RelayProcessOptions, "files" | "logLevel" | "spoolDir"> {
  /** By recipient domain. */
  readonly peers: Readonly<Record<string, PeerScript>>;
  readonly config?: Partial<RelayConfig>;
}

export const SENDER = "sender@example.test";

export async function relayAmongPeers(options: RelayAmongPeersOptions): Promise<RelayAmongPeers> {
  const { peers: scripts, config: overrides, ...processOptions } = options;
  const { peers, zone, deliveryPort } = await startPeers(scripts);
  const dns = await dnsServer(zone);
  let port = 0;
  const config = (more: Partial<RelayConfig> = {}) =>
    testConfig({
      listenerPort: port,
      dns: { servers: [dns.address] },
      delivery: { port: deliveryPort, forbiddenNetworks: [] },
      ...overrides,
      ...more,
    });
  const relay = await startRelay({
    ...processOptions,
    config(listenerPort) {
      port = listenerPort;
      return config();
    },
  });
  const client = async () => {
    const session = await SmtpClient.connect({ port: relay.port });
    await session.expect(220);
    await session.say("EHLO client.example", 250);
    return session;
  };
  return {
    relay,
    dns,
    config,
    client,
    peer(domain) {
      const peer = peers.get(domain);
      if (peer === undefined) throw new Error(`Nobody receives for ${domain} in this test.`);
      return peer;
    },
    async apply(more) {
      await relay.configure(config(more));
      await relay.until((report) => report.appliedRevision === more.revision);
    },
    async send(...recipients) {
      const session = await client();
      const id = await submit(session, recipients);
      await session.say("QUIT", 221);
      return id;
    },
    cli: (...words) =>
      runProgram(process.execPath, ["relay/cli/main.ts", ...words, "--socket", relay.adminSocket], {
        seconds: 20,
      }),
    async [Symbol.asyncDispose]() {
      await relay[Symbol.asyncDispose]();
      await Promise.all([...peers.values()].map((peer) => peer.stop()));
      await dns.stop();
    },
  };
}

/** One message in an open session. Returns its queue id. */
export async function submit(session: SmtpClient, recipients: readonly string[]): Promise<string> {
  await session.begin(SENDER, ...recipients);
  session.raw(`From: ${SENDER}\r\nTo: ${recipients.join(", ")}\r\nSubject: hello\r\n\r\nHello.\r\n.\r\n`);
  const { whole } = await session.expect(250);
  const id = /[0-9A-HJKMNP-TV-Z]{26}/.exec(whole)?.[0];
  if (id === undefined) throw new Error(`The reply names no queue id: ${whole}`);
  return id;
}

/** Whom these messages were for, in the order of the alphabet. */
export function recipientsOf(messages: readonly PeerMessage[]): string[] {
  return messages
    .flatMap(({ recipients }) => recipients.map(({ address }) => address))
    .toSorted((one, other) => one.localeCompare(other));
}

/** All on one port, as MX hosts are, each at an address of its own. */
async function startPeers(scripts: Readonly<Record<string, PeerScript>>) {
  const deliveryPort = await freePort();
  const peers = new Map<string, SmtpPeer>();
  const zone: Record<string, ZoneEntry> = {};
  let host = 100;
  for (const [domain, script] of Object.entries(scripts)) {
    const address = `127.0.2.${host++}`;
    peers.set(domain, await script.start({ host: address, port: deliveryPort }));
    zone[domain] = { MX: [[10, `mx.${domain}`]] };
    zone[`mx.${domain}`] = { A: [address] };
  }
  return { peers, zone, deliveryPort };
}
