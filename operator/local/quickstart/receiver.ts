/**
 * The receiving side of the quickstart: an SMTP server on this machine that takes mail for inbox.test,
 * with STARTTLS offered as any MX does. `later@` is put off with 450, so that there is something to see in
 * the queue.
 */
import { SMTPServer, type SMTPServerSession } from "smtp-server";

import { selfSignedCertificate } from "../../adapters/certificate.ts";
import { tryBind } from "../tcpPorts.ts";

export const INBOX_DOMAIN = "inbox.test";
export const INBOX_HOST = "mx.inbox.test";
const FIRST_PORT = 2525;
const PORTS = 200;
const LARGEST_MESSAGE_BYTES = 32 * 1024 * 1024;

export interface ReceivedMail {
  readonly from: string;
  readonly to: readonly string[];
  /** The address it came from. */
  readonly source: string;
  readonly helo: string;
  readonly overTls: boolean;
  /** As received after DATA, dots unstuffed. */
  readonly content: Buffer;
}

export interface Receiver {
  readonly port: number;
  close(): Promise<void>;
}

/** Rejects when no port near 2525 is free. */
export async function startReceiver(options: {
  readonly now: number;
  readonly onMail: (mail: ReceivedMail) => void;
}): Promise<Receiver> {
  const { certificate, key } = await selfSignedCertificate(INBOX_HOST, options.now);
  const server = new SMTPServer({
    name: INBOX_HOST,
    banner: "the quickstart's inbox",
    cert: certificate,
    key,
    authOptional: true,
    disabledCommands: ["AUTH"],
    size: LARGEST_MESSAGE_BYTES,
    logger: false,
    onRcptTo(address, _session, callback) {
      const [local = "", domain = ""] = address.address.toLowerCase().split("@");
      if (domain !== INBOX_DOMAIN)
        return callback(reply(550, "5.7.1 only mail for inbox.test is taken here"));
      if (local === "later") return callback(reply(450, "4.2.0 this mailbox is busy, try again later"));
      return callback();
    },
    onData(stream, session, callback) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => chunks.push(chunk));
      stream.on("error", callback);
      stream.on("end", () => {
        if (stream.sizeExceeded) return callback(reply(552, "5.3.4 message too big"));
        options.onMail(mailOf(session, Buffer.concat(chunks)));
        return callback(null, "taken");
      });
    },
  });
  server.on("error", () => {
    // A peer that breaks off; its session is over, the server goes on.
  });
  const port = await freePort();
  await new Promise<void>((resolve, reject) => {
    server.server.once("error", reject);
    server.listen(port, "127.0.0.1", () => resolve());
  });
  return {
    port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
      }),
  };
}

async function freePort(): Promise<number> {
  for (let port = FIRST_PORT; port < FIRST_PORT + PORTS; port++) {
    if ((await tryBind("127.0.0.1", port)) === null) return port;
  }
  throw new Error(
    `Cannot start the receiving server: no port from ${FIRST_PORT} to ${FIRST_PORT + PORTS - 1} is free`,
  );
}

function mailOf(session: SMTPServerSession, content: Buffer): ReceivedMail {
  const { mailFrom, rcptTo } = session.envelope;
  return {
    from: mailFrom === false ? "" : mailFrom.address,
    to: rcptTo.map(({ address }) => address),
    source: session.remoteAddress,
    helo: session.hostNameAppearsAs,
    overTls: session.secure,
    content,
  };
}

function reply(responseCode: number, text: string): Error {
  return Object.assign(new Error(text), { responseCode });
}
