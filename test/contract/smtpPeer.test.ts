/** The scripted SMTP peer, judged by an SMTP client that is not ours and by bare sockets. */
import { connect } from "node:net";

import SMTPConnection from "nodemailer/lib/smtp-connection";
import { afterEach, expect, test } from "vitest";

import { type SmtpPeer, smtpPeer } from "../support/smtpPeer.ts";
import { testAuthority } from "../support/testCertificate.ts";

const peers: SmtpPeer[] = [];
const started = async (peer: Promise<SmtpPeer>) => {
  peers.push(await peer);
  return peer;
};
afterEach(async () => {
  await Promise.all(peers.splice(0).map((peer) => peer.stop()));
});

/** Sends bytes and returns all that came back until the peer closed. */
async function talk(peer: SmtpPeer, bytes: string): Promise<string> {
  const socket = connect(peer.port, peer.host);
  socket.on("error", () => {});
  let heard = "";
  socket.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  socket.write(bytes);
  await new Promise((resolve) => socket.once("close", resolve));
  return heard;
}

async function send(peer: SmtpPeer, content: string, options: SMTPConnection.Options = {}) {
  const connection = new SMTPConnection({
    host: peer.host,
    port: peer.port,
    name: "client.test",
    ...options,
  });
  connection.on("error", () => {});
  await new Promise<void>((resolve, reject) => {
    connection.connect((error) => (error === undefined ? resolve() : reject(error)));
  });
  try {
    return await new Promise<SMTPConnection.SentMessageInfo>((resolve, reject) => {
      connection.send({ from: "a@a.test", to: ["b@b.test", "c@c.test"] }, content, (error, info) =>
        error === null ? resolve(info) : reject(error),
      );
    });
  } finally {
    connection.close();
  }
}

test("without a script it takes a message whole and keeps the envelope", async () => {
  const peer = await started(smtpPeer().start({ host: "127.0.0.2" }));

  await send(peer, "Subject: x\r\n\r\n.dot\r\n..two\r\nend\r\n");

  expect(peer.messages).toHaveLength(1);
  expect(peer.messages[0]).toMatchObject({
    from: "a@a.test",
    recipients: [{ address: "b@b.test" }, { address: "c@c.test" }],
    session: { heloName: "client.test", tls: false },
  });
  expect(peer.messages[0]?.content.toString()).toBe("Subject: x\r\n\r\n.dot\r\n..two\r\nend\r\n");
  expect(peer.messages[0]?.wire.toString()).toBe("Subject: x\r\n\r\n..dot\r\n...two\r\nend\r\n");
});

test("rules hold as often as they say, and only where they match", async () => {
  const peer = await started(
    smtpPeer()
      .on("RCPT", "550 5.1.1 no such user", { when: /c@c\.test/, times: 1 })
      .start(),
  );

  expect((await send(peer, "x")).rejected).toEqual(["c@c.test"]);
  expect((await send(peer, "x")).accepted).toEqual(["b@b.test", "c@c.test"]);
});

test("STARTTLS and TLS from the first byte present the certificate", async () => {
  const authority = testAuthority();
  const certificate = authority.issue("mx.test");
  const tls = { ca: authority.ca, servername: "mx.test" };
  const upgraded = await started(smtpPeer().tls(certificate).start());
  const implicit = await started(smtpPeer().implicitTls(certificate).start());

  await send(upgraded, "x", { requireTLS: true, tls });
  await send(implicit, "x", { secure: true, tls });

  for (const peer of [upgraded, implicit]) {
    expect(peer.messages[0]?.session).toMatchObject({ tls: true, serverName: "mx.test" });
  }
});

test("it drops, closes, talks nonsense and says several lines when told to", async () => {
  const dropped = await started(smtpPeer().dropAt("CONNECT").start());
  const closed = await started(smtpPeer().closeAt("EHLO").start());
  const odd = await started(
    smtpPeer().raw("CONNECT", "HTTP/1.1 400 Bad Request\r\n").closeAt("EHLO").start(),
  );
  const busy = await started(smtpPeer().on("MAIL", ["421-4.7.0 slow", "421 4.7.0 down"]).start());

  expect(await talk(dropped, "")).toBe("");
  expect(await talk(closed, "EHLO x\r\n")).toBe("220 peer.test ESMTP\r\n");
  expect(await talk(odd, "EHLO x\r\n")).toBe("HTTP/1.1 400 Bad Request\r\n");
  expect(await talk(busy, "MAIL FROM:<>\r\n")).toBe(
    "220 peer.test ESMTP\r\n421-4.7.0 slow\r\n421 4.7.0 down\r\n",
  );
});

test("a peer that hangs keeps the connection and stays silent until it is stopped", async () => {
  const peer = await started(smtpPeer().hangAt("MAIL").start());
  const heard = talk(peer, "EHLO x\r\nMAIL FROM:<>\r\nRSET\r\n");
  await peer.until(() => peer.sessions[0]?.commands.includes("MAIL FROM:<>") === true);

  expect(peer.sessions[0]?.open).toBe(true);
  await peer.stop();
  expect(await heard).not.toContain("sender ok");
});
