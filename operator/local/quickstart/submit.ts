/**
 * Plays the application: hands messages to the relays at the Service's ports, over TLS and with the
 * password from the Secret, and checks the certificate as an application that trusts it would.
 */
import { createTransport } from "nodemailer";

import type { KubeObject } from "../../adapters/kubeClient.ts";

export interface Submission {
  readonly port: number;
  /** TLS from the first byte; else STARTTLS, which is then required. */
  readonly implicitTls: boolean;
}

export interface Account {
  readonly host: string;
  /** Name in the relay's certificate. */
  readonly hostname: string;
  readonly username: string;
  readonly password: string;
  /** PEM of the certificate, which is its own authority. */
  readonly certificate: string;
}

export interface Letter {
  readonly id: string;
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
}

/** Resolves to the relay's reply to the final dot; rejects with the server's words when it refuses. */
export async function submit(account: Account, submission: Submission, letter: Letter): Promise<string> {
  const transport = createTransport({
    host: account.host,
    port: submission.port,
    secure: submission.implicitTls,
    requireTLS: true,
    auth: { user: account.username, pass: account.password },
    tls: { ca: account.certificate, servername: account.hostname },
    connectionTimeout: 10_000,
    greetingTimeout: 10_000,
    socketTimeout: 20_000,
  });
  try {
    const sent = await transport.sendMail({
      messageId: letter.id,
      from: letter.from,
      to: letter.to,
      subject: letter.subject,
      text: letter.text,
      headers: { "X-Quickstart": letter.id },
    });
    return sent.response;
  } finally {
    transport.close();
  }
}

/** A value of a Secret as text; empty when it is not there. */
export function secretText(secret: KubeObject | undefined, key: string): string {
  const data = (secret?.["data"] ?? {}) as Record<string, string>;
  return Buffer.from(data[key] ?? "", "base64").toString("utf8");
}
