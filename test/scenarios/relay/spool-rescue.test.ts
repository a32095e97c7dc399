/**
 * `smtp-relay spool`: check, dump, export and import on spools as killed relays leave them, whole and with
 * bytes flipped at random places. What is damaged is named, everything else is saved, and what was saved goes on
 * in another spool with its ids, attempts and times.
 */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { runSpool, type SpoolTerminal } from "../../../relay/cli/spool/run.ts";
import { silentLog } from "../../../relay/kit/log.ts";
import { openFileSpool } from "../../../relay/queue/fileSpool.ts";
import type { SpoolLimits } from "../../../relay/queue/log/limits.ts";
import { contentOf, fileStage, nthId, put } from "../../contract/spool/harness.ts";
import { expected, expectedUsage, fill } from "../../contract/spool/formats/story.ts";
import { FakeClock } from "../../support/fakeClock.ts";
import { queuedMessage, recipient } from "../../support/queuedMessage.ts";
import { seededRandom } from "../../support/seededRandom.ts";
import { recoverAll } from "../../support/spool/recoverAll.ts";

let root: string;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "rescue-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function spoolCommand(argv: readonly string[], input = ""): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const terminal: SpoolTerminal = {
    out: (lines) => void out.push(...lines),
    err: (lines) => void err.push(...lines),
    write: (bytes) => void out.push(Buffer.from(bytes).toString("latin1")),
    drained: async () => {},
    input: () => Readable.from([input]),
    progress: () => {},
  };
  const code = await runSpool(argv, terminal);
  return { code, out: out.join("\n"), err: err.join("\n") };
}

/** The story's spool as kill -9 leaves it, in a folder of the test. */
async function killedSpool(name = "broken"): Promise<string> {
  const stage = await fileStage({ inlineBytes: 4096, checkpointBytes: 900 });
  const spool = await stage.open();
  await spool.recover();
  await fill(spool);
  const folder = join(root, name);
  await stage.files.frozen(() =>
    cp(stage.directory(), folder, { recursive: true, filter: (path) => !path.endsWith("/lock") }),
  );
  await stage.remove();
  return folder;
}

async function lives(folder: string, limits: Partial<SpoolLimits> = {}) {
  const options = { patienceMs: 0, ...limits };
  const spool = await openFileSpool({ directory: folder, clock: new FakeClock(), log: silentLog, options });
  const { messages, usage } = await recoverAll(spool);
  const contents = new Map<string, string>();
  for (const { id } of messages) contents.set(id, await contentOf(spool, id));
  return { spool, messages, usage, contents };
}

describe("on the spool of a killed relay", () => {
  test("check reads everything, finds it sound, and changes nothing", async () => {
    const folder = await killedSpool();
    const before = (await readdir(folder)).toSorted();
    const { code, out } = await spoolCommand(["check", folder]);

    expect(out).toMatch(/^5 messages with 6 waiting recipients/);
    expect(out).toContain("sound: every record and every body is as it was written");
    expect(code).toBe(0);
    expect((await readdir(folder)).toSorted()).toEqual(before);
    expect(JSON.parse((await spoolCommand(["check", folder, "--json"])).out)).toMatchObject({
      sound: true,
      messages: { queued: 5, recipients: 6 },
      damage: [],
    });
  });

  test("dump lists the messages, and shows one with its envelope and content", async () => {
    const folder = await killedSpool();
    const list = await spoolCommand(["dump", folder]);
    expect(list.out).toContain(`${nthId(2)}   2026-11-23T12:00:00.000Z`);
    expect(list.out).toContain("450 try again later, größer");
    expect((await spoolCommand(["dump", folder, "--json"])).out.split("\n")).toHaveLength(5);

    const one = await spoolCommand(["dump", folder, nthId(2)]);
    expect(one.out).toContain('"address": "one@inbox.test"');
    expect(one.out).toContain("Subject: b\r\n\r\ndeferred\r\n");
    expect(one.code).toBe(0);
    expect(await spoolCommand(["dump", folder, nthId(99)])).toMatchObject({ code: 2 });
  });

  test.each(["folder", "stream"])(
    "what is exported to a %s and imported elsewhere is the same, once, and again adds nothing",
    async (kind) => {
      const folder = await killedSpool();
      const other = join(root, "other");
      const target = kind === "folder" ? join(root, "saved") : "-";
      const saved = await spoolCommand(["export", folder, target]);
      expect(saved).toMatchObject({ code: 0, err: expect.stringContaining("5 of 5 messages saved") });

      const first = await spoolCommand(["import", target, other], saved.out);
      expect(first).toMatchObject({ code: 0, out: expect.stringContaining("5 messages added, 0 were here") });
      const life = await lives(other);
      for (const { id, message } of life.messages.map((each) => ({ id: each.id, message: each }))) {
        expect(message).toEqual(expected.get(id)?.message);
        expect(life.contents.get(id)).toBe(expected.get(id)?.content);
      }
      expect(life.messages).toHaveLength(5);
      expect(life.usage).toEqual(expectedUsage);
      // One is delivered meanwhile; it does not come back.
      const state = { kind: "delivered", at: 1 } as const;
      await life.spool.record([
        { id: nthId(1), changes: [{ index: 0, recipient: { state, attempts: 1, last: null } }] },
      ]);
      await life.spool.close();

      const second = await spoolCommand(["import", target, other], saved.out);
      expect(second).toMatchObject({
        code: 0,
        out: expect.stringContaining("0 messages added, 5 were here"),
      });
      const { messages, spool } = await lives(other);
      expect(messages).toHaveLength(4);
      await spool.close();
    },
  );

  test("a spool that a relay uses, a folder that is none, and a full target are refused with the next step", async () => {
    const folder = await killedSpool();
    const { spool } = await lives(folder);
    const held = await spoolCommand(["check", folder]);
    expect(held).toMatchObject({
      code: 2,
      err: expect.stringMatching(/uses it\. Stop that relay first, or copy/),
    });
    await spool.close();

    expect(await spoolCommand(["check", root])).toMatchObject({
      code: 2,
      err: expect.stringContaining("no spool"),
    });
    expect(await spoolCommand(["check", join(root, "no")])).toMatchObject({
      code: 2,
      err: expect.stringContaining("no such folder"),
    });
    expect(await spoolCommand(["export", folder, folder])).toMatchObject({
      code: 2,
      err: expect.stringContaining("not empty"),
    });
    for (const wrong of [[], ["look", folder], ["check"], ["export", folder], ["import", folder]]) {
      expect((await spoolCommand(wrong)).code).toBe(2);
    }
    expect((await spoolCommand(["--help"])).out).toContain("smtp-relay spool import DIR FOLDER");
  });
});

test("bytes flipped at random places: check finds each flip or it lies in dead space; export saves all the others", async () => {
  const stage = await fileStage({ inlineBytes: 3000, checkpointBytes: 4000, segmentBytes: 9000 });
  const spool = await stage.open();
  await spool.recover();
  const contents = new Map<string, string>();
  for (let n = 0; n < 60; n++) {
    const content = `Subject: ${n}\r\n\r\n${`line of message ${n}\r\n`.repeat(n * 4)}`;
    const recipients = ["a", "b"].map((name) => recipient({ address: `${name}${n}@d${n % 7}.test` }));
    await put(spool, nthId(n), content, { headerBytes: content.indexOf("\r\n\r\n") + 4, recipients });
    contents.set(nthId(n), content);
  }
  for (let n = 0; n < 60; n += 3) {
    const state =
      n % 2 === 0 ? ({ kind: "delivered", at: 1 } as const) : ({ kind: "waiting", dueAt: 9 } as const);
    const changes = [0, 1].map((index) => ({ index, recipient: { state, attempts: 1, last: null } }));
    await spool.record([{ id: nthId(n), changes }]);
    if (n % 2 === 0) contents.delete(nthId(n));
  }
  const whole = join(root, "whole");
  await stage.files.frozen(() =>
    cp(stage.directory(), whole, { recursive: true, filter: (path) => !path.endsWith("/lock") }),
  );
  await stage.remove();
  const files = (await readdir(whole)).filter((name) => name !== "spool.json").toSorted();
  expect(files.some((name) => name.endsWith(".msg")) && files.some((name) => name.startsWith("check"))).toBe(
    true,
  );
  const random = seededRandom(2611);
  const pick = (below: number) => Math.floor(random.draw() * below);
  let found = 0;
  for (let round = 0; round < 40; round++) {
    const folder = join(root, `round-${round}`);
    await cp(whole, folder, { recursive: true });
    const file = files[pick(files.length)] ?? "";
    const bytes = await readFile(join(folder, file));
    const at = pick(bytes.length);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << pick(8));
    await writeFile(join(folder, file), bytes);

    const checked = JSON.parse((await spoolCommand(["check", folder, "--json"])).out);
    const target = join(root, `saved-${round}`);
    await spoolCommand(["export", folder, target]);
    const saved = new Map<string, string>();
    for (const name of await readdir(target)) {
      if (name.endsWith(".eml")) saved.set(name.slice(0, 26), await readFile(join(target, name), "latin1"));
    }
    const lost = [...contents.keys()].filter((id) => !saved.has(id));
    const noticed = !checked.sound || checked.tornBytes > 0;
    if (noticed) found++;
    // What is saved is what was written, whatever was flipped. (Where the record of its end was hit, a message
    // that was delivered is queued again: never a loss.)
    const wrong = [...saved].filter(([id, content]) => contents.has(id) && content !== contents.get(id));
    const spurious = [...saved.keys()].filter((id) => !contents.has(id));
    expect({
      ...{ round, file, at, wrong },
      // A flip costs the message whose record or content it hit, and no other.
      lost: lost.length <= 1,
      // Nothing is lost, and nothing comes back, without being noticed.
      told: noticed || (lost.length === 0 && spurious.length === 0),
    }).toEqual({ round, file, at, wrong: [], lost: true, told: true });
    await rm(folder, { recursive: true });
    await rm(target, { recursive: true });
  }
  // Most of the bytes are needed.
  expect(found).toBeGreaterThan(20);
}, 120_000);

describe("on a spool whose log lost envelopes", () => {
  const LARGE = `Received: from app.example.test by mail.example.test;\r\n\tMon, 23 Nov 2026 12:00:00 +0000\r\nFrom: sender@example.test\r\nTo: one@inbox.test\r\nSubject: large\r\n\r\n${"a large body\r\n".repeat(600)}`;
  const small = (n: number) => `From: sender@example.test\r\nSubject: small ${n}\r\n\r\nsmall ${n}\r\n`;

  /** Messages 1 (in a file of its own) and 2 lose their envelopes in the log; 3 was delivered; 4 is sound. */
  async function brokenSpool(): Promise<string> {
    const stage = await fileStage({ inlineBytes: 4096 });
    const spool = await stage.open();
    await spool.recover();
    await put(spool, nthId(1), LARGE, { recipients: [recipient({ address: "one@inbox.test" })] });
    const two = ["two@inbox.test", "too@inbox.test"].map((address) => recipient({ address }));
    await put(spool, nthId(2), small(2), { recipients: two });
    await put(spool, nthId(3), small(3), { recipients: [recipient({ address: "three@inbox.test" })] });
    await put(spool, nthId(4), small(4), { recipients: [recipient({ address: "four@inbox.test" })] });
    const delivered = { state: { kind: "delivered", at: 1 }, attempts: 1, last: null } as const;
    await spool.record([{ id: nthId(3), changes: [{ index: 0, recipient: delivered }] }]);
    await spool.record([{ id: nthId(2), changes: [{ index: 0, recipient: delivered }] }]);
    const folder = join(root, "broken");
    await stage.files.frozen(() =>
      cp(stage.directory(), folder, { recursive: true, filter: (path) => !path.endsWith("/lock") }),
    );
    await stage.remove();
    for (const address of ["one@inbox.test", "two@inbox.test"]) {
      const path = join(folder, "metadata-0000000001.log");
      const bytes = await readFile(path);
      const at = bytes.indexOf(address);
      expect(at).toBeGreaterThan(0);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      await writeFile(path, bytes);
    }
    return folder;
  }

  async function jsonOf(path: string): Promise<Record<string, unknown>> {
    return JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  }

  test("check names each body; export saves it with what can be known, apart from what may be sent", async () => {
    const folder = await brokenSpool();
    const checked = await spoolCommand(["check", folder]);
    expect(checked.code).toBe(1);
    expect(checked.out).toContain(
      `LOST     ${nthId(1)}: ${LARGE.length} bytes in ${nthId(1)}.msg: its envelope is lost`,
    );
    expect(checked.out).toContain(`LOST     ${nthId(2)}: `);
    expect(checked.out).not.toContain(`LOST     ${nthId(3)}`);

    const target = join(root, "saved");
    const saved = await spoolCommand(["export", folder, target]);
    expect(saved).toMatchObject({ code: 1, err: expect.stringContaining("1 of 1 messages saved") });
    expect(saved.err).toContain("2 bodies without envelope saved in");
    expect((await readdir(join(target, "lost"))).toSorted()).toEqual(
      [1, 2].flatMap((n) => [`${nthId(n)}.eml`, `${nthId(n)}.json`]),
    );
    expect(await readFile(join(target, "lost", `${nthId(1)}.eml`), "latin1")).toBe(LARGE);
    expect(await jsonOf(join(target, "lost", `${nthId(1)}.json`))).toMatchObject({
      envelope: "lost",
      acceptedAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
      sizeBytes: LARGE.length,
      header: {
        received: [expect.stringContaining("app.example.test")],
        from: ["sender@example.test"],
        to: ["one@inbox.test"],
        subject: ["large"],
      },
      from: null,
      recipients: [],
    });
    // The journal of its segment has the envelope, and the log who got it already.
    expect(await jsonOf(join(target, "lost", `${nthId(2)}.json`))).toMatchObject({
      envelope: "asAccepted",
      from: "sender@example.test",
      recipients: [
        { address: "two@inbox.test", state: "delivered" },
        { address: "too@inbox.test", state: "waiting" },
      ],
    });
    const manifest = (await readFile(join(target, "manifest.jsonl"), "utf8")).trimEnd().split("\n");
    expect(manifest.map((line) => JSON.parse(line) as object)).toMatchObject([
      { id: nthId(4), file: `${nthId(4)}.eml`, envelope: "whole" },
      { id: nthId(2), file: `lost/${nthId(2)}.eml`, envelope: "asAccepted" },
      { id: nthId(1), file: `lost/${nthId(1)}.eml`, envelope: "lost" },
    ]);
  });

  test("import takes none of them by itself, and one without its envelope only when it is said where it goes", async () => {
    const folder = await brokenSpool();
    const target = join(root, "saved");
    const stream = await spoolCommand(["export", folder, "-"]);
    await spoolCommand(["export", folder, target]);
    for (const [from, other] of [
      [target, "from-folder"],
      ["-", "from-stream"],
    ] as const) {
      const imported = await spoolCommand(["import", from, join(root, other)], stream.out);
      expect(imported).toMatchObject({ code: 0, out: expect.stringContaining("1 messages added") });
    }

    const other = join(root, "from-folder");
    const lost = join(target, "lost");
    const refused = await spoolCommand(["import", lost, other]);
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/its envelope is lost\. Write "from" and "recipients"/);
    expect(refused.out).toContain("1 messages added");

    const path = join(lost, `${nthId(1)}.json`);
    const about = await jsonOf(path);
    await writeFile(
      path,
      JSON.stringify({ ...about, from: "sender@example.test", recipients: ["no address"] }),
    );
    expect((await spoolCommand(["import", lost, other])).code).toBe(1);
    await writeFile(
      path,
      JSON.stringify({ ...about, from: "sender@example.test", recipients: ["ONE@Inbox.test"] }),
    );
    expect(await spoolCommand(["import", lost, other])).toMatchObject({ code: 0 });
    const life = await lives(other);
    expect(life.messages.find(({ id }) => id === nthId(1))).toMatchObject({
      envelope: { from: "sender@example.test" },
      sizeBytes: LARGE.length,
      headerBytes: LARGE.indexOf("\r\n\r\n") + 4,
      recipients: [{ address: "ONE@Inbox.test", domain: "inbox.test", state: { kind: "waiting" } }],
    });
    expect(life.contents.get(nthId(1))).toBe(LARGE);
    expect(life.messages.map(({ id }) => id).toSorted()).toEqual([1, 2, 4].map(nthId));
    await life.spool.close();
  });

  test("the same when a relay ran on it meanwhile, and when it set the message aside itself", async () => {
    const folder = await brokenSpool();
    const first = await lives(folder, { checkpointBytes: 500 });
    expect(first.messages.map(({ id }) => id)).toEqual([nthId(4)]);
    // A checkpoint stands for the damaged log, and nothing but a note tells of it any more.
    const damagedLog = "metadata-0000000001.log.damaged";
    for (let n = 10; !(await readdir(folder)).includes(damagedLog); n++)
      await put(first.spool, nthId(n), small(n));
    await first.spool.close();
    expect(await jsonOf(join(folder, "damage.json"))).toMatchObject({ files: ["metadata-0000000001.log"] });
    expect((await spoolCommand(["check", folder])).out).toContain("DAMAGED  damage.json: ");
    const target = join(root, "saved");
    expect(await spoolCommand(["export", folder, target])).toMatchObject({
      code: 1,
      err: expect.stringContaining("2 bodies without envelope saved"),
    });

    const stage = await fileStage({ inlineBytes: 40 });
    const spool = await stage.open();
    await spool.recover();
    await put(spool, nthId(1), LARGE);
    const log = join(stage.directory(), "metadata-0000000001.log");
    const bytes = await readFile(log);
    const at = bytes.indexOf("rcpt@inbox.test");
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(log, bytes);
    await spool.load([nthId(1)]);
    await spool.close();
    const checked = await spoolCommand(["check", stage.directory()]);
    expect(checked).toMatchObject({ code: 1, out: expect.stringContaining(`LOST     ${nthId(1)}`) });
    expect(checked.out).toContain("set aside");
    await spoolCommand(["export", stage.directory(), join(root, "aside")]);
    expect(await readFile(join(root, "aside", "lost", `${nthId(1)}.eml`), "latin1")).toBe(LARGE);
    expect(await jsonOf(join(root, "aside", "lost", `${nthId(1)}.json`))).toMatchObject({
      envelope: "lost",
      remains: expect.arrayContaining([expect.stringContaining("cpt@inbox.test")]),
    });
    await stage.remove();
  });

  test("of several updates the latest of each recipient counts, in whichever order log and journal tell them", async () => {
    const stage = await fileStage();
    const spool = await stage.open();
    await spool.recover();
    const addresses = ["later", "done", "gone", "untried"].map((name) => `${name}@inbox.test`);
    await put(spool, nthId(2), small(2), { recipients: addresses.map((address) => recipient({ address })) });
    const waiting = (attempts: number) =>
      ({ state: { kind: "waiting", dueAt: 1000 * attempts }, attempts, last: null }) as const;
    const first = [0, 1, 2].map((index) => ({ index, recipient: waiting(1) }));
    // With mail, so that the journal of the segment has it as well: that is read behind the log.
    const writer = await spool.begin(nthId(4));
    await writer.write(Buffer.from(small(4)));
    await Promise.all([
      spool.record([{ id: nthId(2), changes: first }]),
      writer.commit(queuedMessage({ id: nthId(4), sizeBytes: small(4).length })),
    ]);
    await spool.record([{ id: nthId(2), changes: [{ index: 0, recipient: waiting(2) }] }]);
    const delivered = { state: { kind: "delivered", at: 5000 }, attempts: 2, last: null } as const;
    const bounced = {
      state: { kind: "bounced", at: 6000, reason: "Refused" },
      ...{ attempts: 1, last: null },
    } as const;
    await spool.record([{ id: nthId(2), changes: [{ index: 1, recipient: delivered }] }]);
    await spool.record([{ id: nthId(2), changes: [{ index: 2, recipient: bounced }] }]);
    await spool.record([{ id: nthId(2), changes: [{ index: 0, recipient: waiting(3) }] }]);
    const folder = join(root, "broken");
    await stage.files.frozen(() =>
      cp(stage.directory(), folder, { recursive: true, filter: (path) => !path.endsWith("/lock") }),
    );
    await stage.remove();
    const path = join(folder, "metadata-0000000001.log");
    const bytes = await readFile(path);
    const at = bytes.indexOf("later@inbox.test");
    expect(at).toBeGreaterThan(0);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    await writeFile(path, bytes);

    const target = join(root, "saved");
    await spoolCommand(["export", folder, target]);
    const timeOf = (ms: number) => new Date(ms).toISOString();
    expect(await jsonOf(join(target, "lost", `${nthId(2)}.json`))).toMatchObject({
      envelope: "asAccepted",
      recipients: [
        { address: "later@inbox.test", state: "waiting", attempts: 3, at: timeOf(3000) },
        { address: "done@inbox.test", state: "delivered", attempts: 2, at: timeOf(5000) },
        { address: "gone@inbox.test", state: "bounced", attempts: 1, reason: "Refused", at: timeOf(6000) },
        { address: "untried@inbox.test", state: "waiting", attempts: 0 },
      ],
    });
  });

  test("a log that is missing altogether is damage, too", async () => {
    const folder = await brokenSpool();
    const { spool } = await lives(folder);
    await spool.close();
    await rm(join(folder, "damage.json"));
    await rm(join(folder, "metadata-0000000001.log"));
    const checked = await spoolCommand(["check", folder]);
    expect(checked.out).toContain("DAMAGED  metadata-0000000001.log: it is missing");
    expect(checked.out).toContain(`LOST     ${nthId(4)}`);
  });
});
