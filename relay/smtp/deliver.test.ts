import { Readable } from "node:stream";

import { afterEach, expect, test } from "vitest";

import { deliveryJob, type JobWishes } from "../../test/support/deliveryJob.ts";
import { deliveryWorld, refusal } from "../../test/support/deliveryWorld.ts";
import { smtpPeer } from "../../test/support/smtpPeer.ts";
import { testAuthority } from "../../test/support/testCertificate.ts";

const world = deliveryWorld();
const { attempt, deliverer, site, started } = world;
afterEach(() => world.end());

/** Content comes from the store as a stream, or is in memory: the same bytes must leave. */
const ways = [
  { way: "streamed", ofText: () => ({}) },
  {
    way: "at hand",
    ofText: (text: string) => ({
      // In pieces that end where stuffing must look across their border.
      contentAtHand: () => Array.from(Buffer.from(text), (byte) => Buffer.from([byte])),
      content: () => {
        throw new Error("what is at hand is not read");
      },
    }),
  },
];

test.each(ways)(
  "a message arrives as it is, from its source and under its name ($way)",
  async ({ ofText }) => {
    const text = "Subject: x\r\n\r\n.one dot\r\n..two\r\nlast line\r\n";

    const { peer, result } = await attempt(smtpPeer(), {
      text,
      ...ofText(text),
      source: { address: "127.0.0.7", ehloName: "seven.mail.test" },
      to: ["r@inbox.test", "q@inbox.test"],
    });

    const delivered = { kind: "delivered", reply: { code: 250, enhanced: "2.0.0", text: "accepted" } };
    expect(result).toEqual({
      outcomes: [delivered, delivered],
      host: "mx1.test",
      address: "127.0.0.1",
      tls: null,
      failedAt: null,
      dsnTaken: false,
      unbound: null,
    });
    expect(peer.messages).toHaveLength(1);
    expect(peer.messages[0]?.content.toString()).toBe(text);
    expect(peer.sessions).toMatchObject([{ remoteAddress: "127.0.0.7", heloName: "seven.mail.test" }]);
  },
);

test("with PIPELINING the envelope and DATA leave in one write; without it one command at a time", async () => {
  const pipelined = await attempt(smtpPeer());
  const lockstep = await attempt(smtpPeer().offers("8BITMIME"));

  const mail = "MAIL FROM:<s@sender.test>";
  const rcpt = "RCPT TO:<r@inbox.test>";
  expect(pipelined.peer.sessions[0]?.bursts.slice(0, 2)).toEqual([
    ["EHLO a.mail.test"],
    [`${mail} SIZE=21`, rcpt, "DATA"],
  ]);
  expect(lockstep.peer.sessions[0]?.bursts.slice(0, 4)).toEqual([
    ["EHLO a.mail.test"],
    [mail],
    [rcpt],
    ["DATA"],
  ]);
});

test("parameters go to peers that know them, and each recipient keeps its own", async () => {
  const wishes: JobWishes = {
    envelope: { from: "s@sender.test", eightBitMime: true, ret: "HDRS", envid: "a+b=c d" },
    to: [
      { address: "r@inbox.test", notify: ["SUCCESS", "FAILURE"], orcpt: "rfc822;r+x@old.test" },
      { address: "q@inbox.test" },
    ],
    sizeBytes: 4711,
  };

  const knows = await attempt(smtpPeer().offers("PIPELINING", "8BITMIME", "SIZE 100000", "DSN"), wishes);
  const knowsNot = await attempt(smtpPeer().offers("HELP"), wishes);

  expect(knows.peer.sessions[0]?.commands).toEqual([
    "EHLO a.mail.test",
    "MAIL FROM:<s@sender.test> SIZE=4711 BODY=8BITMIME RET=HDRS ENVID=a+2Bb+3Dc+20d",
    "RCPT TO:<r@inbox.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;r+2Bx@old.test",
    "RCPT TO:<q@inbox.test>",
    "DATA",
  ]);
  expect(knows.result.dsnTaken).toBe(true);
  expect(knowsNot.peer.sessions[0]?.commands.slice(1, 3)).toEqual([
    "MAIL FROM:<s@sender.test>",
    "RCPT TO:<r@inbox.test>",
  ]);
  expect(knowsNot.result).toMatchObject({
    dsnTaken: false,
    outcomes: [{ kind: "delivered" }, { kind: "delivered" }],
  });
});

test.each([["PIPELINING"], ["HELP"]])(
  "recipients refused at RCPT keep their own reply (%s)",
  async (offer) => {
    const script = smtpPeer()
      .offers(offer)
      .on("RCPT", "550 5.1.1 no such user", { when: /gone@/ })
      .on("RCPT", ["450-4.2.1 too", "450 4.2.1 fast"], { when: /busy@/ });

    const { peer, result } = await attempt(script, {
      to: ["gone@inbox.test", "ok@inbox.test", "busy@inbox.test"],
    });

    expect(result.outcomes).toMatchObject([
      refusal("rcpt", 550, "5.1.1"),
      { kind: "delivered" },
      { ...refusal("rcpt", 450, "4.2.1"), reply: { text: "too fast" } },
    ]);
    expect(result.failedAt).toBeNull();
    expect(peer.messages[0]?.recipients.map((recipient) => recipient.address)).toEqual(["ok@inbox.test"]);
  },
);

test.each([["PIPELINING"], ["HELP"]])(
  "a refused sender is the answer for all, and the session stays good (%s)",
  async (offer) => {
    const script = smtpPeer()
      .offers(offer)
      .on("MAIL", "550 5.7.1 not you", { times: 1 })
      .on("RCPT", "503 5.5.1 no sender", { times: offer === "PIPELINING" ? 2 : 0 });
    const peer = await started(script);
    const { deliverer: d } = deliverer();

    const first = await d.deliver(deliveryJob([peer], { to: ["a@inbox.test", "b@inbox.test"] }));
    const second = await d.deliver(deliveryJob([peer]));

    expect(first.outcomes).toMatchObject([refusal("mail", 550, "5.7.1"), refusal("mail", 550, "5.7.1")]);
    expect(first.failedAt).toBeNull();
    expect(second.outcomes).toMatchObject([{ kind: "delivered" }]);
    expect(peer.sessions).toHaveLength(1);
  },
);

test.each([["PIPELINING"], ["HELP"]])(
  "when all recipients are refused the next message goes on after RSET (%s)",
  async (offer) => {
    const peer = await started(smtpPeer().offers(offer).on("RCPT", "550 5.1.1 no", { times: 1 }));
    const { deliverer: d } = deliverer();

    await d.deliver(deliveryJob([peer]));
    const second = await d.deliver(deliveryJob([peer]));

    expect(second.outcomes).toMatchObject([{ kind: "delivered" }]);
    expect(peer.sessions).toHaveLength(1);
    expect(peer.sessions[0]?.commands.filter((command) => command === "RSET")).toHaveLength(1);
  },
);

test("a peer that wants content though it refused every recipient gets a lone dot, and nobody gets a message", async () => {
  const script = smtpPeer().on("RCPT", "550 5.1.1 no", { times: 1 }).on("DATA", "354 go on", { times: 1 });
  const peer = await started(script);
  const { deliverer: d } = deliverer();

  const first = await d.deliver(deliveryJob([peer]));
  await d.deliver(deliveryJob([peer]));

  expect(first.outcomes).toMatchObject([refusal("rcpt", 550, "5.1.1")]);
  expect(peer.contents.map((message) => message.content.toString())).toEqual([
    "",
    "Subject: x\r\n\r\nhello\r\n",
  ]);
  expect(peer.sessions[0]?.commands).not.toContain("RSET");
});

test("a peer that wants content though it refused the sender is left", async () => {
  const { peer, result } = await attempt(
    smtpPeer().on("MAIL", "550 5.7.1 not you").on("RCPT", "250 ok").on("DATA", "354 go on"),
  );

  expect(result.outcomes).toMatchObject([refusal("mail", 550, "5.7.1")]);
  await peer.until(() => peer.sessions[0]?.open === false);
  expect(peer.contents).toEqual([]);
});

test.each([
  ["DATA", "data", 451],
  ["DATA", "data", 554],
  ["DOT", "content", 451],
  ["DOT", "content", 550],
] as const)(
  "a refusal at %s is the answer of the accepted recipients only (%s, %i)",
  async (step, stage, code) => {
    const script = smtpPeer().on("RCPT", "550 5.1.1 no", { when: /gone@/ }).on(step, `${code} 5.7.0 no`);

    const { result } = await attempt(script, { to: ["ok@inbox.test", "gone@inbox.test"] });

    const enhanced = code > 500 ? "5.7.0" : null;
    expect(result.outcomes).toMatchObject([refusal(stage, code, enhanced), refusal("rcpt", 550, "5.1.1")]);
    expect(result.failedAt).toBeNull();
  },
);

test("a message of many blocks streams through, each dot at a line's start doubled", async () => {
  const line = `.${"x".repeat(75)}\r\n`;
  const block = Buffer.from(line.repeat(500));
  const blocks = 100;
  const content = () => Readable.from(Array.from({ length: blocks }, () => block));

  const { peer, result } = await attempt(smtpPeer(), { content, sizeBytes: block.length * blocks });

  expect(result.outcomes).toMatchObject([{ kind: "delivered" }]);
  expect(peer.messages[0]?.content.equals(Buffer.concat(Array.from({ length: blocks }, () => block)))).toBe(
    true,
  );
});

test.each(ways)(
  "a message without a last line end gets one before the final dot ($way)",
  async ({ ofText }) => {
    const text = "Subject: x\r\n\r\nno end";
    const { peer } = await attempt(smtpPeer(), { text, ...ofText(text) });

    expect(peer.messages[0]?.content.toString()).toBe("Subject: x\r\n\r\nno end\r\n");
  },
);

test("a message that our own store cannot read to its end is never taken for whole", async () => {
  const content = () =>
    Readable.from(
      (async function* () {
        yield Buffer.from("Subject: x\r\n\r\nhalf a mess");
        await Promise.resolve();
        throw new Error("EIO: read");
      })(),
    );

  const { peer, result } = await attempt(smtpPeer(), { content });

  expect(result).toMatchObject({
    outcomes: [{ kind: "unreachable", stage: "content", reason: expect.stringContaining("EIO: read") }],
    failedAt: null,
  });
  await peer.until(() => peer.sessions[0]?.open === false);
  expect(peer.contents).toEqual([]);
});

test("what the peer does not take is refused in its place, and not one byte of it is sent", async () => {
  const small = await attempt(smtpPeer().offers("SIZE 1000"), { sizeBytes: 1001 });
  const exact = await attempt(smtpPeer().offers("SIZE 1001"), { sizeBytes: 1001 });
  const sender = await attempt(smtpPeer(), { envelope: { from: "é@sender.test" } });
  const mixed = await attempt(smtpPeer(), { to: ["é@inbox.test", "e@inbox.test"] });
  const header = await attempt(smtpPeer(), { envelope: { smtpUtf8: true }, text: "Subject: é\r\n\r\nx\r\n" });
  const flagOnly = await attempt(smtpPeer(), {
    envelope: { smtpUtf8: true },
    text: "Subject: e\r\n\r\né\r\n",
  });

  expect(small.result.outcomes).toMatchObject([refusal("mail", 552, "5.3.4")]);
  expect(small.peer.sessions[0]?.commands).toEqual(["EHLO a.mail.test"]);
  expect(exact.result.outcomes).toMatchObject([{ kind: "delivered" }]);
  expect(sender.result.outcomes).toMatchObject([refusal("mail", 550, "5.6.7")]);
  expect(mixed.result.outcomes).toMatchObject([refusal("rcpt", 550, "5.6.7"), { kind: "delivered" }]);
  expect(header.result.outcomes).toMatchObject([refusal("mail", 550, "5.6.9")]);
  expect(flagOnly.result.outcomes).toMatchObject([{ kind: "delivered" }]);
});

test("SMTPUTF8 is asked of a peer that offers it", async () => {
  const { peer, result } = await attempt(smtpPeer().offers("SMTPUTF8"), { to: ["é@inbox.test"] });

  expect(result.outcomes).toMatchObject([{ kind: "delivered" }]);
  expect(peer.sessions[0]?.commands).toContain("MAIL FROM:<s@sender.test> SMTPUTF8");
});

test("an address that would become a command of its own is never sent", async () => {
  const { peer, result } = await attempt(smtpPeer(), {
    to: ["x>\r\nRSET\r\n<y@inbox.test", "a> NOTIFY=NEVER <b@inbox.test", '"o k"@inbox.test'],
  });

  expect(result.outcomes).toMatchObject([
    refusal("rcpt", 553, "5.1.3"),
    refusal("rcpt", 553, "5.1.3"),
    { kind: "delivered" },
  ]);
  expect(peer.sessions[0]?.commands).toEqual([
    "EHLO a.mail.test",
    "MAIL FROM:<s@sender.test> SIZE=21",
    'RCPT TO:<"o k"@inbox.test>',
    "DATA",
  ]);
});

test("a peer that knows only HELO is spoken to without extensions", async () => {
  const { peer, result } = await attempt(smtpPeer().on("EHLO", "502 5.5.1 what"));

  expect(result.outcomes).toMatchObject([{ kind: "delivered" }]);
  expect(peer.sessions[0]?.commands.slice(0, 3)).toEqual([
    "EHLO a.mail.test",
    "HELO a.mail.test",
    "MAIL FROM:<s@sender.test>",
  ]);
});

test("the job's pulse is felt at replies and at blocks", async () => {
  let pulses = 0;
  const content = () => Readable.from(Array.from({ length: 50 }, () => Buffer.alloc(65_536, "x\r\n")));

  await attempt(smtpPeer(), { content, progress: () => void pulses++ });

  expect(pulses).toBeGreaterThan(10);
});

test("ending the job ends the attempt at once, and speaks of us, not of the site", async () => {
  const peer = await started(smtpPeer().hangAt("RCPT"));
  const { deliverer: d } = deliverer();
  const stop = new AbortController();

  let replies = 0;
  const progress = () => {
    replies++;
    // Greeting, EHLO, MAIL: the next one never comes.
    if (replies === 3) setImmediate(() => stop.abort());
  };
  const delivering = d.deliver(deliveryJob([peer], { signal: stop.signal, progress }));

  expect(await delivering).toMatchObject({
    outcomes: [{ kind: "unreachable", stage: "rcpt" }],
    failedAt: null,
  });
  expect(d.connections("a", "site.test")).toBe(0);
});

test("a closed deliverer finishes what is under way, says goodbye, and takes nothing new", async () => {
  const peer = await started(smtpPeer().hangAt("DOT", { times: 1 }));
  const { clock, deliverer: d } = deliverer();
  const other = await started(smtpPeer());
  await d.deliver(deliveryJob([other], { site: "other.test" }));
  const underWay = d.deliver(deliveryJob([peer]));
  await peer.until(() => peer.contents.length === 1);

  const closed = d.close();
  await other.until(() => other.sessions[0]?.open === false);
  expect(other.sessions[0]?.commands.at(-1)).toBe("QUIT");
  expect(await d.deliver(deliveryJob([other]))).toMatchObject({
    outcomes: [{ kind: "unreachable" }],
    failedAt: null,
  });
  await clock.advance(600_000);

  expect(await underWay).toMatchObject({ failedAt: "content" });
  await closed;
  expect(clock.pending).toBe(0);
});

test("TLS is used where it is offered, whatever the certificate, and the result says which", async () => {
  const authority = testAuthority();
  const good = authority.issue("mx1.test");
  const { ca } = authority;

  const known = await attempt(smtpPeer().tls(good), {}, { ca: [ca] });
  const unknown = await attempt(smtpPeer().tls(good));

  expect(known.peer.messages[0]?.session).toMatchObject({ tls: true, serverName: "mx1.test" });
  expect(known.result.tls).toMatchObject({ version: "TLSv1.3", verified: true });
  expect(unknown.result.tls).toMatchObject({ verified: false });
  expect(unknown.peer.sessions[0]?.commands).toEqual([
    "EHLO a.mail.test",
    "STARTTLS",
    "EHLO a.mail.test",
    "MAIL FROM:<s@sender.test> SIZE=21",
    "RCPT TO:<r@inbox.test>",
    "DATA",
  ]);
});

test("when TLS fails, opportunistic mail goes in plain text on a new connection and the host is remembered", async () => {
  const certificate = testAuthority().issue("mx1.test");
  const peer = await started(smtpPeer().tls(certificate).raw("TLS", "this is no handshake", { times: 1 }));
  const { clock, deliverer: d } = deliverer();

  const first = await d.deliver(deliveryJob([peer]));
  await clock.advance(20_000);
  await d.deliver(deliveryJob([peer]));
  await clock.advance(3_600_000);
  const later = await d.deliver(deliveryJob([peer]));

  expect(first).toMatchObject({ outcomes: [{ kind: "delivered" }], tls: null, failedAt: null });
  expect(peer.sessions.map((session) => session.tls)).toEqual([false, false, false, true]);
  expect(later.tls).not.toBeNull();
});

test("where TLS is required, mail never goes in plain text", async () => {
  const authority = testAuthority();
  const broken = await attempt(smtpPeer().tls(authority.issue("mx1.test")).dropAt("TLS"), {
    tls: { mode: "Required" },
  });
  const refused = await attempt(
    smtpPeer().tls(authority.issue("mx1.test")).on("STARTTLS", "454 4.7.0 not now"),
    {
      tls: { mode: "Required" },
    },
  );
  const absent = await attempt(smtpPeer(), { tls: { mode: "Required" } });
  const otherName = await attempt(
    smtpPeer().tls(authority.issue("other.test")),
    { tls: { mode: "Verify" } },
    { ca: [authority.ca] },
  );
  const good = await attempt(
    smtpPeer().tls(authority.issue("mx1.test")),
    { tls: { mode: "Verify" } },
    { ca: [authority.ca] },
  );

  expect(broken.result).toMatchObject({
    failedAt: "starttls",
    outcomes: [{ kind: "unreachable", stage: "starttls" }],
  });
  expect(refused.result).toMatchObject({
    failedAt: "starttls",
    outcomes: [refusal("starttls", 454, "4.7.0")],
  });
  expect(absent.result).toMatchObject({
    failedAt: "starttls",
    outcomes: [{ reason: expect.stringContaining("offers no STARTTLS") }],
  });
  expect(otherName.result).toMatchObject({
    failedAt: "starttls",
    outcomes: [{ reason: expect.stringContaining("no valid certificate for mx1.test") }],
  });
  for (const { peer } of [broken, refused, absent, otherName]) expect(peer.contents).toEqual([]);
  expect(good.result).toMatchObject({ outcomes: [{ kind: "delivered" }], tls: { verified: true } });
});

test("a refused STARTTLS is no reason to drop opportunistic mail", async () => {
  const certificate = testAuthority().issue("mx1.test");
  const { peer, result } = await attempt(smtpPeer().tls(certificate).on("STARTTLS", "454 4.7.0 not now"));

  expect(result.outcomes).toMatchObject([{ kind: "delivered" }]);
  expect(peer.sessions).toHaveLength(1);
});

test.each([
  ["a whole reply", "220 go ahead\r\n250 injected\r\n"],
  ["a piece of one", "220 go ahead\r\n250-injec"],
])(
  "plain text behind the reply to STARTTLS is not taken for a reply inside TLS (%s)",
  async (_what, bytes) => {
    const certificate = testAuthority().issue("mx1.test");
    const { peer, result } = await attempt(smtpPeer().tls(certificate).raw("STARTTLS", bytes));

    expect(result.failedAt).toBe("starttls");
    expect(peer.contents).toEqual([]);
    expect(peer.sessions).toHaveLength(1);
  },
);

test("TLS from the first byte needs no STARTTLS, and credentials go inside it only", async () => {
  const certificate = testAuthority().issue("mx1.test");
  const auth = { username: "user", password: "s3cret" };
  const plain = await attempt(smtpPeer().implicitTls(certificate).offers("AUTH LOGIN PLAIN"), {
    auth,
    tls: { implicit: true },
  });
  const login = await attempt(smtpPeer().tls(certificate).offers("AUTH LOGIN"), { auth });
  const naked = await attempt(smtpPeer().offers("AUTH PLAIN"), { auth });
  const wrong = await attempt(smtpPeer().tls(certificate).offers("AUTH PLAIN").on("AUTH", "535 5.7.8 no"), {
    auth,
  });

  expect(plain.peer.sessions[0]?.commands[1]).toBe("AUTH PLAIN AHVzZXIAczNjcmV0");
  expect(login.peer.sessions[0]?.commands.slice(3, 6)).toEqual(["AUTH LOGIN", "dXNlcg==", "czNjcmV0"]);
  expect(plain.result.outcomes).toMatchObject([{ kind: "delivered" }]);
  expect(login.result.outcomes).toMatchObject([{ kind: "delivered" }]);
  expect(naked.result).toMatchObject({ failedAt: "auth", outcomes: [{ kind: "unreachable" }] });
  expect(naked.peer.sessions[0]?.commands).toEqual(["EHLO a.mail.test"]);
  expect(wrong.result).toMatchObject({ failedAt: "auth", outcomes: [refusal("auth", 535, "5.7.8")] });
});

test("REQUIRETLS mail goes only to a host that offers it under a valid certificate", async () => {
  const authority = testAuthority();
  const options = { ca: [authority.ca] };
  const [first, second] = await site(
    smtpPeer().tls(authority.issue("mx1.test")),
    smtpPeer().tls(authority.issue("mx2.test")).offers("REQUIRETLS"),
  );
  const { deliverer: d } = deliverer(options);
  const envelope = { requireTls: true };

  const both = await d.deliver(deliveryJob([first, second], { envelope }));
  const none = await d.deliver(deliveryJob([first], { envelope, site: "other.test" }));
  const unverified = await attempt(smtpPeer().tls(authority.issue("mx1.test")).offers("REQUIRETLS"), {
    envelope,
  });

  expect(both).toMatchObject({ host: "mx2.test", outcomes: [{ kind: "delivered" }] });
  expect(second.sessions[0]?.commands).toContain("MAIL FROM:<s@sender.test> REQUIRETLS");
  expect(none.outcomes).toMatchObject([refusal("mail", 550, "5.7.30")]);
  expect(unverified.result.outcomes).toMatchObject([refusal("mail", 550, "5.7.30")]);
  expect(unverified.peer.contents).toEqual([]);
});
