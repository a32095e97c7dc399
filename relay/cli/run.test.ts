/** The command against real admin sockets, as a person meets it. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { adminSource, ID, queueOf } from "../../test/support/adminAnswers.ts";
import { type TempFolder, tempFolder } from "../../test/support/tempFolder.ts";
import { type AdminServer, type AdminSource, startAdminServer } from "../admin/server.ts";
import { silentLog } from "../kit/log.ts";
import { run } from "./run.ts";

let folder: TempFolder;
const servers: AdminServer[] = [];
beforeEach(() => {
  folder = tempFolder();
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  folder[Symbol.dispose]();
});

/** A pod of local mode: its folder, its admin.json, and unless it is down its socket. */
async function pod(name: string, source: Partial<AdminSource> | "down" = {}): Promise<string> {
  const home = join(folder.path, ".smtp-relay", "pods", `default.${name}`);
  mkdirSync(home, { recursive: true });
  const socket = join(home, "admin.sock");
  writeFileSync(join(home, "admin.json"), JSON.stringify({ pod: name, socket }));
  if (source !== "down") {
    servers.push(await startAdminServer({ path: socket, source: adminSource(name, source), log: silentLog }));
  }
  return socket;
}

async function typed(
  argv: readonly string[],
  { cwd = folder.path, env = {} }: { cwd?: string; env?: Record<string, string> } = {},
) {
  const out: string[] = [];
  const err: string[] = [];
  const code = await run(argv, {
    cwd,
    env,
    page: () => ({
      now: Date.parse("2026-11-23T14:02:49Z"),
      timeZone: "UTC",
      width: null,
      command: "smtp-relay",
    }),
    out: (lines) => void out.push(...lines),
    err: (lines) => void err.push(...lines),
  });
  return { code, out, err };
}

test("the nearest state folder is found from below, its pods asked in their order", async () => {
  await pod("mail-10");
  await pod("mail-2");
  const below = join(folder.path, "a", "b");
  mkdirSync(below, { recursive: true });

  const { code, out, err } = await typed(["queue"], { cwd: below });

  expect(code).toBe(0);
  expect(out.at(-1)).toContain("2180 recipients at mail-2 and mail-10.");
  expect(err).toEqual([]);
});

test("a pod that is down is named, and the others are still shown", async () => {
  await pod("mail-0");
  const socket = await pod("mail-1", "down");

  const { code, out, err } = await typed(["queue"]);

  expect(code).toBe(0);
  expect(out.at(-1)).toContain("1090 recipients at mail-0.");
  expect(err).toEqual([`mail-1 was not asked: not running (nobody answers at ${socket}).`]);
});

test("when no pod answers, that is a failure", async () => {
  await pod("mail-0", "down");

  expect(await typed(["queue"])).toMatchObject({ code: 1, out: [] });
  expect(await typed(["explain", ID])).toMatchObject({ code: 1, out: [] });
});

test("a message is found by its first characters, at whichever pod has it", async () => {
  await pod("mail-0", { find: () => [] });
  await pod("mail-1");

  const explained = await typed(["explain", ID.slice(0, 12).toLowerCase()]);
  const shown = await typed(["show", ID]);

  expect(explained).toMatchObject({ code: 0, err: [] });
  expect(explained.out[0]).toBe("accepted 14:01:07 by mail-1 from app (example.com), 18 KiB, 2 recipients");
  expect(shown.out[0]).toBe(`id         ${ID} at mail-1`);
});

test("a prefix of several messages lists them, and an unknown id says where it was looked for", async () => {
  const other = ID.replace(/H$/, "J");
  await pod("mail-0", { find: (prefix) => [ID, other].filter((id) => id.startsWith(prefix)) });
  await pod("mail-1", { find: () => [] });

  expect(await typed(["explain", "01JD"])).toEqual({
    code: 1,
    out: [],
    err: ["01JD fits 2 messages. Give more of its characters:", `  ${ID}  mail-0`, `  ${other}  mail-0`],
  });
  expect(await typed(["show", "01X"])).toMatchObject({
    code: 1,
    err: [expect.stringContaining("No message 01X is queued at mail-0 and mail-1.")],
  });
});

test.each(["explain", "show"])(
  "%s tells of a message that is set aside, and where what is left of it is",
  async (command) => {
    const setAside = {
      ...{ pod: "mail-0", id: ID, receivedAt: "2026-11-23T14:01:07.000Z", sizeBytes: 18_432 },
      ...{ setAsideAt: "2026-11-23T14:02:00.000Z", reason: "its envelope is damaged" },
    };
    await pod("mail-0", { explain: () => setAside, message: () => setAside });

    expect((await typed([command, ID])).out).toEqual([
      "accepted 14:01:07 by mail-0, 18 KiB",
      "aside    since 14:02:00; it is kept, and sent to nobody",
      "because  its envelope is damaged",
      `next     stop the relay; smtp-relay spool export FOLDER DIR saves what is left of ${ID} in DIR/lost`,
    ]);
  },
);

test.each(["explain", "show"])(
  "%s tells of a message that cannot be read just now, and what the relay does about it",
  async (command) => {
    const unreadable = {
      ...{ pod: "mail-0", id: ID, receivedAt: "2026-11-23T14:01:07.000Z" },
      ...{ reason: "its envelope is damaged", next: "the relay looks once more" },
    };
    await pod("mail-0", { explain: () => unreadable, message: () => unreadable });

    expect((await typed([command, ID])).out).toEqual([
      "accepted 14:01:07 by mail-0",
      "because  its envelope is damaged",
      "next     the relay looks once more",
    ]);
  },
);

test("a message that leaves between two questions is told of, not a fault", async () => {
  await pod("mail-0", { explain: () => null });

  expect(await typed(["explain", ID])).toMatchObject({
    code: 1,
    err: [`Message ${ID} has just left the queue of mail-0: delivered or bounced.`],
  });
});

test("programs get JSON: each pod as it answered, and who did not", async () => {
  await pod("mail-0");
  await pod("mail-1", "down");

  const { code, out } = await typed(["queue", "--json"]);

  expect(code).toBe(0);
  expect(JSON.parse(out.join("\n"))).toEqual({
    pods: [queueOf("mail-0")],
    unreachable: [{ pod: "mail-1", reason: expect.stringContaining("not running") }],
  });
});

test("one socket can be named by option or variable; the option wins", async () => {
  const socket = await pod("mail-0");
  await pod("mail-1");
  const elsewhere = { cwd: "/" };

  for (const asked of [
    await typed(["queue", "--socket", socket], elsewhere),
    await typed(["queue"], { ...elsewhere, env: { SMTP_RELAY_ADMIN_SOCKET: socket } }),
    await typed(["queue", "--socket", socket], { ...elsewhere, env: { SMTP_RELAY_ADMIN_SOCKET: "/none" } }),
  ]) {
    expect(asked.out.at(-1)).toContain("1090 recipients at mail-0.");
  }
  // The line to paste reaches the same relay.
  expect((await typed(["queue", "--socket", socket], elsewhere)).out.at(-1)).toMatch(
    new RegExp(`explain [0-9A-Z]{26} --socket ${socket}$`),
  );
  const state = { ...elsewhere, env: { SMTP_RELAY_STATE: join(folder.path, ".smtp-relay") } };
  expect((await typed(["queue"], state)).out.at(-1)).toContain("at mail-0 and mail-1.");
});

test("where nothing is to be found it says what was looked for and what to do", async () => {
  const state = join(folder.path, "state");
  mkdirSync(state);

  expect((await typed(["queue", "--state", state])).err[0]).toMatch(
    /No relay has run with the state folder .*smtp-relay-operator local/,
  );
  expect((await typed(["queue", "--state", "gone"])).err[0]).toMatch(/There is no state folder/);
  mkdirSync(join(state, "pods"));
  expect(await typed(["queue", "--state", state])).toMatchObject({
    code: 1,
    err: [expect.stringMatching(/No relay runs with the state folder/)],
  });
});

test("an answer of another version is not guessed at", async () => {
  await pod("mail-0", { queue: () => ({ ...queueOf("mail-0"), more: 1 }) });

  expect(await typed(["queue"])).toMatchObject({
    code: 1,
    err: [expect.stringContaining("different versions")],
  });
});

test("help is no failure, a typing error is exit code 2", async () => {
  expect(await typed(["--help"])).toMatchObject({ code: 0, err: [] });
  expect(await typed(["exlpain"])).toMatchObject({ code: 2, out: [] });
});
