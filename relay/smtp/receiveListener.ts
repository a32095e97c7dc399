/**
 * One open port: accepts sockets, does implicit TLS, and hands what is left to sessions. The listening
 * socket is Node's own; smtp-server's part begins with a connected socket.
 *
 * The listener's facts (certificate, trusted networks, names) may change while it is open.
 */
import { BlockList, createServer, isIPv6, type Server, type Socket } from "node:net";
import { createSecureContext, createServer as createTlsServer, type Server as TlsServer } from "node:tls";

import { SMTPServer, type SMTPServerAuthentication, type SMTPServerSession } from "smtp-server";

import type { Listener } from "../contract/config.ts";
import type { SessionHost } from "./receiveHost.ts";
import { ReceivingSession } from "./receiveSession.ts";
import { type Refusal, refusal } from "./refusal.ts";

export interface ListenerFacts {
  readonly listener: Listener;
  readonly hostname: string;
  /** PEM, checked. */
  readonly certificate: { readonly cert: Buffer; readonly key: Buffer };
  /** Sockets beyond this are dropped unseen; sessions beyond the real limit get a reply. */
  readonly mostSockets: number;
}

export interface OpenListener {
  readonly listener: Listener;
  /** The port that was opened. */
  readonly port: number;
  update(facts: ListenerFacts): void;
  /** Stops accepting; sessions go on, handshakes have their own deadline. */
  close(): void;
}

/** Unfinished TLS handshakes end after this long. */
const HANDSHAKE_MS = 30_000;
/** RFC 8996 and RFC 9325 §4.2: what Mozilla calls intermediate, without its finite-field suites. */
const tlsSettings = {
  minVersion: "TLSv1.2",
  honorCipherOrder: true,
  ciphers: [
    "TLS_AES_256_GCM_SHA384",
    "TLS_CHACHA20_POLY1305_SHA256",
    "TLS_AES_128_GCM_SHA256",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-CHACHA20-POLY1305",
  ].join(":"),
} as const;

/** Throws, with the reason, when certificate and key cannot serve TLS together. */
export function checkCertificate(certificate: ListenerFacts["certificate"]): void {
  createSecureContext({ ...certificate, ...tlsSettings });
}

/** Rejects when the port cannot be opened; the message names listener, address, port and fact. */
export async function openListener(
  facts: ListenerFacts,
  { bind, port, host }: { bind: string | undefined; port: number; host: Omit<SessionHost, "isTrusted"> },
): Promise<OpenListener> {
  let { listener, mostSockets } = facts;
  let isTrusted = trustOf(facts.listener);
  const isImplicit = facts.listener.tls === "Implicit";
  const sessions = new SessionServer(facts, {
    ...host,
    isTrusted: (address) => isTrusted(address),
  });
  const sockets = new Set<Socket>();
  const tlsServer = isImplicit
    ? createTlsServer({ ...facts.certificate, ...tlsSettings, handshakeTimeout: HANDSHAKE_MS })
    : undefined;
  const server: Server | TlsServer = tlsServer ?? createServer();
  server.on("connection", (socket: Socket) => {
    // A socket can fail before anyone else listens, and an unheard error ends the process.
    socket.on("error", () => {});
    if (sockets.size >= mostSockets) return void socket.destroy();
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.setKeepAlive(true, 60_000);
    if (!isImplicit) sessions.connect(socket);
  });
  tlsServer?.on("secureConnection", (socket) => sessions.connect(socket));
  tlsServer?.on("tlsClientError", (error, socket) => {
    host.log.debug("TLS handshake failed", { client: socket.remoteAddress, error });
    socket.destroy();
  });
  await listening(server, facts.listener, { bind, port });
  server.on("error", (error) => host.log.error("listener failed", { listener: listener.name, error }));

  return {
    get listener() {
      return listener;
    },
    port: openedPort(server),
    update(changed) {
      ({ listener, mostSockets } = changed);
      isTrusted = trustOf(listener);
      sessions.use(changed);
      tlsServer?.setSecureContext({ ...changed.certificate, ...tlsSettings });
    },
    close() {
      // Its callback waits for every connection; not to accept any more is all that is promised here.
      server.close();
    },
  };
}

type AuthCallback = (error: Error | null | undefined, response?: { user?: unknown }) => void;

/** smtp-server without its listening socket: options, TLS contexts and AUTH for our sessions. */
class SessionServer extends SMTPServer {
  readonly #host: SessionHost;
  readonly #sessions = new WeakMap<SMTPServerSession, ReceivingSession>();

  constructor(facts: ListenerFacts, host: SessionHost) {
    super({
      ...facts.certificate,
      ...tlsSettings,
      name: facts.hostname,
      secure: facts.listener.tls === "Implicit",
      authMethods: ["PLAIN", "LOGIN"],
      // Whether AUTH is needed is the session's to say: it depends on the client's network.
      authOptional: true,
      hideENHANCEDSTATUSCODES: false,
      hideDSN: false,
      hideREQUIRETLS: false,
      disableReverseLookup: true,
      disabledCommands: ["XCLIENT", "XFORWARD", "WIZ", "SHELL", "KILL", "LHLO"],
      heloResponse: "%s",
      logger: false,
      onConnect: (_session, callback) => callback(),
      onSecure: (_socket, _session, callback) => callback(),
    });
    this.#host = host;
    this.on("error", (error) => host.log.debug("session failed", { error }));
  }

  use(facts: ListenerFacts): void {
    this.options.name = facts.hostname;
    this.updateSecureContext({ ...facts.certificate, ...tlsSettings });
  }

  override connect(socket: Socket): void {
    const session = new ReceivingSession(this, socket, {}, this.#host);
    this.connections.add(session);
    this.#sessions.set(session.session, session);
    session.on("error", (error: Error) => this.#host.log.debug("session failed", { error }));
    session.init();
  }

  override onAuth(auth: SMTPServerAuthentication, of: SMTPServerSession, callback: AuthCallback): void {
    void this.#authenticate(auth, of, callback);
  }

  async #authenticate(
    auth: SMTPServerAuthentication,
    of: SMTPServerSession,
    callback: AuthCallback,
  ): Promise<void> {
    const session = this.#sessions.get(of);
    if (session === undefined) throw new Error("Cannot authenticate a session that never connected");
    let why: Refusal | undefined = refusal(454, "4.3.0", "Internal error, try again later");
    try {
      why = await session.authenticate(auth.username ?? "", auth.password ?? "", auth.authzid ?? "");
    } catch (error) {
      this.#host.log.error("login failed for a reason of ours", { error });
    }
    if (why === undefined) return callback(null, { user: auth.username });
    callback(Object.assign(new Error(`${why.enhanced} ${why.text}`), { responseCode: why.code }));
    return session.authEnded();
  }
}

/** Verdicts kept: a list is asked at each command, and clients are few. */
const MOST_VERDICTS = 1000;

function trustOf(listener: Listener): (address: string) => boolean {
  const trusted = networks(listener);
  const verdicts = new Map<string, boolean>();
  return (address) => {
    let verdict = verdicts.get(address);
    if (verdict === undefined) {
      verdict = trusted.check(address, isIPv6(address) ? "ipv6" : "ipv4");
      if (verdicts.size >= MOST_VERDICTS) verdicts.clear();
      verdicts.set(address, verdict);
    }
    return verdict;
  };
}

/** Nobody, unless the listener says that AUTH is optional. */
function networks({ auth, trustedNetworks }: Listener): BlockList {
  const list = new BlockList();
  for (const network of auth === "Optional" ? trustedNetworks : []) {
    const [address = "", prefix = ""] = network.split("/");
    list.addSubnet(address, Number(prefix), isIPv6(address) ? "ipv6" : "ipv4");
  }
  return list;
}

function listening(
  server: Server,
  { name }: Listener,
  { bind, port }: { bind: string | undefined; port: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    const failed = (cause: NodeJS.ErrnoException) => {
      const fact = cause.code === "EADDRINUSE" ? "the port is in use" : (cause.code ?? cause.message);
      reject(new Error(`Cannot open listener ${name} on ${bind ?? "*"}:${port}: ${fact}`, { cause }));
    };
    server.once("error", failed);
    server.listen({ port, ...(bind === undefined ? {} : { host: bind }) }, () => {
      server.off("error", failed);
      resolve();
    });
  });
}

function openedPort(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot tell the port of a listener");
  return address.port;
}
