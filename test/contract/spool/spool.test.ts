/** The contract of relay/queue/spool.ts, held by every implementation. */
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { RecipientUpdate, Spool, SpoolHealth } from "../../../relay/queue/spool.ts";
import { SpoolError } from "../../../relay/queue/spool.ts";
import { queuedMessage, recipient } from "../../support/queuedMessage.ts";
import { contentOf, harnesses, nthId, put, type Stage } from "./harness.ts";
import { recoverAll } from "../../support/spool/recoverAll.ts";

const last = {
  at: 7,
  source: "a",
  host: "mx.inbox.test",
  code: 450,
  enhanced: "4.2.1",
  text: "try again later",
  rule: "generic/4xx",
};

function final(id: string, index = 0): RecipientUpdate {
  const state = { kind: "delivered", at: 5 } as const;
  return { id, changes: [{ index, recipient: { state, attempts: 1, last: null } }] };
}

describe.each(harnesses)("spool in $name", ({ stage: newStage }) => {
  let stage: Stage;
  let spool: Spool;

  beforeEach(async () => {
    stage = await newStage();
    spool = await stage.open();
  });

  afterEach(() => stage.remove());

  async function killed(): Promise<Spool> {
    spool = await stage.openAfterKill();
    return spool;
  }

  test("a new spool is empty, sound, and knows when it was created", async () => {
    expect(await recoverAll(spool)).toEqual({
      messages: [],
      usage: [],
      createdAt: stage.clock.now(),
      tornBytes: 0,
      damagedBytes: 0,
    });
    expect(spool.health).toEqual({ state: "Ok" });
  });

  test("what was committed comes back after a kill, with envelope, content and creation time", async () => {
    const { createdAt } = await spool.recover();
    const message = await put(spool, nthId(1), ["Subject: a\r\n\r\n", "body\r\n"], {
      headerBytes: 14,
      envelope: {
        from: "",
        ret: "FULL",
        envid: "order 7",
        smtpUtf8: true,
        eightBitMime: true,
        requireTls: true,
      },
      credential: null,
      sendingDomain: null,
      recipients: [
        recipient({ address: "grüße@inbox.test", notify: ["SUCCESS", "DELAY"], orcpt: "rfc822;a+2Bb@c" }),
        recipient({ address: "b@[192.0.2.1]", domain: "[192.0.2.1]" }),
      ],
    });
    await stage.clock.advance(1000);

    const recovered = await recoverAll(await killed());

    expect(recovered).toEqual({ messages: [message], usage: [], createdAt, tornBytes: 0, damagedBytes: 0 });
    expect(await contentOf(spool, nthId(1))).toBe("Subject: a\r\n\r\nbody\r\n");
  });

  test("what was begun but not committed, or aborted, leaves nothing behind", async () => {
    await spool.recover();
    const open = await spool.begin(nthId(1));
    await open.write(Buffer.from("x".repeat(100)));
    const aborted = await spool.begin(nthId(2));
    await aborted.write(Buffer.from("y".repeat(100)));
    await aborted.abort();
    await aborted.abort();

    expect((await recoverAll(await killed())).messages).toEqual([]);
    await expect(contentOf(spool, nthId(1))).rejects.toThrow(/01J0+1/);
  });

  test("content of any size, in any chunks, is read whole and in ranges", async () => {
    await spool.recover();
    const sizes = [0, 1, 15, 16, 17, 65_535, 65_536, 65_537, 300_000];
    const text = (size: number) => "0123456789abcdef\r\n".repeat(Math.ceil(size / 18)).slice(0, size);
    for (const [n, size] of sizes.entries()) {
      const half = Math.floor(size / 2);
      await put(spool, nthId(n), [text(size).slice(0, half), text(size).slice(half)]);
    }

    for (const reopen of [false, true]) {
      if (reopen) await recoverAll(await killed());
      for (const [n, size] of sizes.entries()) {
        expect(await contentOf(spool, nthId(n))).toBe(text(size));
        for (const [start, end] of [
          [0, Math.min(10, size)],
          [Math.min(3, size), undefined],
          [Math.max(0, size - 5), size],
          [Math.min(65_530, size), Math.min(65_540, size)],
          [0, size + 100],
          [size, size],
        ] as const) {
          const range = end === undefined ? { start } : { start, end };
          expect(await contentOf(spool, nthId(n), range)).toBe(text(size).slice(start, end));
        }
      }
    }
  });

  test("what was just committed is at hand, and is what is read", async () => {
    await spool.recover();
    const parts = ["Subject: a\r\n\r\n", "x".repeat(9000), "y".repeat(70_000)];
    await put(spool, nthId(1), parts);
    // A message in a file of its own never is: the tiny harness has only such.
    const atHand = spool.atHand(nthId(1)) ?? [Buffer.from(await contentOf(spool, nthId(1)))];
    expect(Buffer.concat(atHand).toString()).toBe(parts.join(""));
    expect(await contentOf(spool, nthId(1))).toBe(parts.join(""));
  });

  test("nothing is at hand once a recipient waits on, all are final, or another life began", async () => {
    await spool.recover();
    for (const n of [1, 2, 3]) await put(spool, nthId(n), `message ${n}`);
    const later = { state: { kind: "waiting", dueAt: 9 }, attempts: 1, last } as const;
    await spool.record([{ id: nthId(1), changes: [{ index: 0, recipient: later }] }]);
    await spool.record([final(nthId(2))]);

    expect(spool.atHand(nthId(1))).toBe(null);
    expect(spool.atHand(nthId(2))).toBe(null);
    expect(spool.atHand("01J00000000000000000000000")).toBe(null);
    const next = await killed();
    await next.recover();
    expect(next.atHand(nthId(3))).toBe(null);
    expect(await contentOf(next, nthId(1))).toBe("message 1");
    expect(await contentOf(next, nthId(3))).toBe("message 3");
  });

  test("a chunk may be reused by its owner once write() has resolved", async () => {
    await spool.recover();
    const writer = await spool.begin(nthId(1));
    const chunk = Buffer.from("first ");
    await writer.write(chunk);
    chunk.write("second");
    await writer.write(chunk, Buffer.from(" and "), chunk);
    chunk.fill("x");
    await writer.commit(queuedMessage({ id: nthId(1), sizeBytes: 23 }));

    expect(await contentOf(spool, nthId(1))).toBe("first second and second");
  });

  test("states of recipients survive, and a message is gone when all are final", async () => {
    await spool.recover();
    const recipients = ["a@x.test", "b@x.test", "c@x.test"].map((address) => recipient({ address }));
    await put(spool, nthId(1), "one", { recipients });
    await put(spool, nthId(2), "two");
    const deferred = { state: { kind: "waiting", dueAt: 99 } as const, attempts: 3, last };
    await spool.record([{ id: nthId(1), changes: [{ index: 1, recipient: deferred }] }, final(nthId(1), 0)]);
    await spool.record([final(nthId(2))]);

    const { messages } = await recoverAll(await killed());

    expect(messages.map((message) => message.id)).toEqual([nthId(1)]);
    expect(messages[0]?.recipients).toEqual([
      { ...recipients[0], state: { kind: "delivered", at: 5 }, attempts: 1 },
      { ...recipients[1], ...deferred },
      recipients[2],
    ]);
    await spool.record([final(nthId(1), 1)]);
    await spool.record([final(nthId(1), 2)]);
    await spool.record([final(nthId(1), 2)]);
    await expect(contentOf(spool, nthId(1))).rejects.toThrow(SpoolError);
    expect((await recoverAll(await killed())).messages).toEqual([]);
  });

  test("states recorded at the same time for recipients of one message all count", async () => {
    await spool.recover();
    const recipients = Array.from({ length: 20 }, (_, n) => recipient({ address: `r${n}@x.test` }));
    await put(spool, nthId(1), "one", { recipients });
    await Promise.all(recipients.map((_, index) => spool.record([final(nthId(1), index)])));

    expect((await recoverAll(await killed())).messages).toEqual([]);
  });

  test("messages handed out by recover() do not change when states are recorded", async () => {
    await spool.recover();
    await put(spool, nthId(1), "one", {
      recipients: [recipient({ address: "a@x.test" }), recipient({ address: "b@x.test" })],
    });
    const { messages } = await recoverAll(await killed());
    const before = structuredClone(messages);
    await spool.record([final(nthId(1), 0)]);

    expect(messages).toEqual(before);
  });

  test("use of allowances survives and never shrinks", async () => {
    await spool.recover();
    await spool.recordUsage([
      { counter: "a|google|2026-11-23", taken: 5 },
      { counter: "a|total|2026-11-23", taken: 9 },
    ]);
    await spool.recordUsage([{ counter: "a|google|2026-11-23", taken: 7 }]);
    await spool.recordUsage([{ counter: "a|google|2026-11-23", taken: 6 }]);

    expect((await recoverAll(await killed())).usage).toEqual([
      { counter: "a|google|2026-11-23", taken: 7 },
      { counter: "a|total|2026-11-23", taken: 9 },
    ]);
  });

  test("use of allowances is forgotten five weeks after it last grew", async () => {
    await spool.recover();
    await spool.recordUsage([{ counter: "old", taken: 5 }]);
    await stage.clock.advance(30 * 86_400_000);
    await spool.recordUsage([{ counter: "new", taken: 1 }]);
    await stage.clock.advance(10 * 86_400_000);

    expect((await recoverAll(await killed())).usage).toEqual([{ counter: "new", taken: 1 }]);
  });

  test("recovered messages are in the order of their acceptance", async () => {
    await spool.recover();
    for (const [n, receivedAt] of [
      [3, 300],
      [1, 100],
      [2, 200],
    ] as const) {
      await put(spool, nthId(n), "x", { receivedAt });
    }

    const { messages } = await recoverAll(await killed());
    expect(messages.map((message) => message.receivedAt)).toEqual([100, 200, 300]);
  });

  test("many messages that come and go, over several lives: what waits is exactly what is left", async () => {
    await spool.recover();
    const left = new Set<string>();
    for (let life = 0; life < 3; life++) {
      for (let round = 0; round < 10; round++) {
        const ids = Array.from({ length: 10 }, (_, n) => nthId(life * 1000 + round * 10 + n));
        await Promise.all(ids.map((id) => put(spool, id, `content of ${id}`)));
        for (const id of ids) left.add(id);
        const done = [...left].filter((_, index) => index % 3 !== 0);
        await spool.record(done.map((id) => final(id)));
        for (const id of done) left.delete(id);
      }
      const { messages } = await recoverAll(await killed());
      expect(messages.map((message) => message.id).toSorted()).toEqual([...left].toSorted());
      for (const id of left) expect(await contentOf(spool, id)).toBe(`content of ${id}`);
    }
  });

  test("a broken disk is refused at once, said, and forgotten when it works again", async () => {
    await spool.recover();
    await put(spool, nthId(1), "before");
    const heard: SpoolHealth[] = [];
    spool.onHealth((health) => heard.push(health));
    const writer = await spool.begin(nthId(2));
    await writer.write(Buffer.from("during"));
    stage.breakDisk(true);

    await expect(writer.commit(queuedMessage({ id: nthId(2), sizeBytes: 6 }))).rejects.toThrow(SpoolError);
    await expect(spool.begin(nthId(3))).rejects.toThrow(SpoolError);
    await expect(spool.record([final(nthId(1))])).rejects.toThrow(SpoolError);
    await expect(spool.recordUsage([{ counter: "a", taken: 1 }])).rejects.toThrow(SpoolError);
    expect(await spool.probe()).toMatchObject({ state: "Failed", since: stage.clock.now() });
    expect(await contentOf(spool, nthId(1))).toBe("before");

    stage.breakDisk(false);
    expect(await spool.probe()).toEqual({ state: "Ok" });
    expect(heard.map((health) => health.state)).toEqual(["Failed", "Ok"]);
    await put(spool, nthId(4), "after");
    await put(spool, nthId(2), "again");

    const { messages } = await recoverAll(await killed());
    expect(messages.map((message) => message.id).toSorted()).toEqual([nthId(1), nthId(2), nthId(4)]);
    expect(await contentOf(spool, nthId(2))).toBe("again");
  });

  test("a nearly full disk refuses new messages only, so that delivery makes room", async () => {
    await spool.recover();
    await put(spool, nthId(1), "before");
    await put(spool, nthId(2), "before");
    stage.fillDisk(true);
    await stage.clock.advance(5000);

    await expect(spool.begin(nthId(3))).rejects.toThrow(SpoolError);
    expect(spool.health).toMatchObject({ state: "Failed", full: true });
    await spool.record([final(nthId(1))]);
    await spool.recordUsage([{ counter: "a", taken: 1 }]);
    stage.fillDisk(false);
    expect(await spool.probe()).toEqual({ state: "Ok" });
    await put(spool, nthId(3), "after");

    const { messages } = await recoverAll(await killed());
    expect(messages.map((message) => message.id).toSorted()).toEqual([nthId(2), nthId(3)]);
  });

  test("a commit that breaks its contract is a bug, and is refused as one", async () => {
    await spool.recover();
    await put(spool, nthId(1), "one");
    const commit = async (id: string, part: object) => {
      const writer = await spool.begin(id);
      await writer.write(Buffer.from("abc"));
      try {
        await writer.commit(queuedMessage({ id, sizeBytes: 3, ...part }));
      } finally {
        await writer.abort();
      }
    };

    await expect(commit(nthId(2), { id: nthId(3) })).rejects.toThrow(/envelope is that of/);
    await expect(commit(nthId(2), { sizeBytes: 4 })).rejects.toThrow(/3 bytes were written/);
    await expect(commit(nthId(2), { recipients: [] })).rejects.toThrow(/no recipient waits/);
    await expect(commit(nthId(1), {})).rejects.toThrow(/queued already/);
    await expect(spool.record([final(nthId(1), 4)])).rejects.toThrow(/Cannot record recipient 4/);
    const { messages } = await recoverAll(await killed());
    expect(messages.map((message) => message.id)).toEqual([nthId(1)]);
    expect(await contentOf(spool, nthId(1))).toBe("one");
  });

  test("a closed spool has kept everything, and refuses every call", async () => {
    await spool.recover();
    const writer = await spool.begin(nthId(1));
    await writer.write(Buffer.from("one"));
    const commit = writer.commit(queuedMessage({ id: nthId(1), sizeBytes: 3 }));
    await spool.close();
    await vi.waitFor(() => commit);

    await expect(spool.begin(nthId(2))).rejects.toThrow(/closed/);
    await expect(spool.record([final(nthId(1))])).rejects.toThrow(/closed/);
    await expect(spool.recordUsage([{ counter: "a", taken: 1 }])).rejects.toThrow(/closed/);
    await expect(spool.probe()).rejects.toThrow(/closed/);
    await spool.close();
    expect((await recoverAll(await killed())).messages.map((message) => message.id)).toEqual([nthId(1)]);
  });
});
