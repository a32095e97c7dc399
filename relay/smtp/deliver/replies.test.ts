import * as fc from "fast-check";
import { expect, test } from "vitest";

import { ReplyParser, replyOf, replyText } from "./replies.ts";

const read = (bytes: string | Buffer) => {
  const { replies, nonsense } = new ReplyParser().feed(Buffer.from(bytes as string, "latin1"));
  return { replies: replies.map(replyOf), nonsense };
};

test.each([
  {
    bytes: "250 2.1.5 Ok\r\n",
    reply: { code: 250, enhanced: "2.1.5", text: "Ok" },
    because: "the enhanced code stands apart from the text",
  },
  {
    bytes: "421-4.7.28 Too\r\n421-4.7.28 much\r\n421 4.7.28 mail\r\n",
    reply: { code: 421, enhanced: "4.7.28", text: "Too much mail" },
    because: "lines are joined, their enhanced codes said once",
  },
  {
    bytes: "550 4.7.1 hm\r\n",
    reply: { code: 550, enhanced: null, text: "4.7.1 hm" },
    because: "an enhanced code of another class is text (RFC 2034 §4)",
  },
  { bytes: "250\r\n", reply: { code: 250, enhanced: null, text: "" }, because: "a bare code is a reply" },
  { bytes: "250 ok\n", reply: { code: 250, enhanced: null, text: "ok" }, because: "a bare LF ends a line" },
  {
    bytes: "250 10.1.1.1.example says hello\r\n",
    reply: { code: 250, enhanced: null, text: "10.1.1.1.example says hello" },
    because: "numbers at the start are not always a status",
  },
  {
    bytes: "550-5.1.1 a\r\n554 5.7.1 b\r\n",
    reply: { code: 554, enhanced: "5.1.1", text: "a b" },
    because: "of mixed codes the last line's counts",
  },
  {
    bytes: "550 \u001b[31mred\u0007\u0085x\r\n",
    reply: { code: 550, enhanced: null, text: "[31mred x" },
    because: "control characters go nowhere",
  },
  {
    bytes: Buffer.from("550 désolé\r\n"),
    reply: { code: 550, enhanced: null, text: "désolé" },
    because: "UTF-8 is read as such",
  },
  {
    bytes: Buffer.from("550 d\u00e9sol\u00e9\r\n", "latin1"),
    reply: { code: 550, enhanced: null, text: "désolé" },
    because: "other bytes are kept one by one",
  },
])("$because", ({ bytes, reply }) => {
  expect(read(bytes)).toEqual({ replies: [reply], nonsense: null });
});

test("a text of any length is kept to 1 KiB", () => {
  const long = read(`550 ${"x".repeat(5000)}\r\n`).replies[0];

  expect(long?.text).toHaveLength(1024);
});

test.each([
  "hello\r\n",
  "25 ok\r\n",
  "2500 ok\r\n",
  "250ok\r\n",
  "150 ok\r\n",
  "600 ok\r\n",
  "\r\n",
  "-250 ok\r\n",
])("%j is no reply", (bytes) => {
  expect(read(bytes)).toMatchObject({ replies: [], nonsense: expect.stringContaining("no SMTP reply") });
});

test("what was complete before the nonsense is still heard", () => {
  expect(read("250 ok\r\nwhat?\r\n")).toMatchObject({
    replies: [{ code: 250 }],
    nonsense: expect.any(String),
  });
});

test("bytes may come in any pieces", () => {
  const bytes = Buffer.from("220-peer\r\n220 ready\r\n250 2.0.0 ok\r\n354\r\n");
  fc.assert(
    fc.property(fc.array(fc.nat(bytes.length), { maxLength: 6 }), (cuts) => {
      const parser = new ReplyParser();
      const at = [0, ...cuts.sort((a, b) => a - b), bytes.length];
      const replies = at
        .slice(1)
        .flatMap((end, index) => parser.feed(bytes.subarray(at[index], end)).replies);

      expect(replies.map(replyOf).map(replyText)).toEqual(["220 peer ready", "250 2.0.0 ok", "354"]);
      expect(parser.inside).toBe(false);
    }),
  );
});

test("whatever a stranger sends, reading it does not throw", () => {
  const feedAll = (chunks: readonly Uint8Array[]) => {
    const parser = new ReplyParser();
    for (const chunk of chunks) if (parser.feed(Buffer.from(chunk)).nonsense !== null) break;
  };
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 }), { maxLength: 20 }), (chunks) => {
      expect(() => feedAll(chunks)).not.toThrow();
    }),
  );
});

test("a line that never ends is given up after 64 KiB, however small its pieces", () => {
  const parser = new ReplyParser();
  let bytes = 0;
  while (parser.feed(Buffer.from("2")).nonsense === null) bytes++;

  expect(bytes).toBeLessThanOrEqual(65_536);
});

test("a reply that comes in parts is whole, though the next bytes arrive where its first ones did", () => {
  const parser = new ReplyParser();
  const arrivals = Buffer.alloc(64);
  const arrive = (text: string) => parser.feed(arrivals.subarray(0, arrivals.write(text, "latin1")));

  expect(arrive("250 2.0.0 que").replies).toEqual([]);
  expect(arrive("ued as 1\r\n").replies).toEqual([{ lines: ["250 2.0.0 queued as 1"] }]);
});
