import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { systemClock } from "../../relay/kit/clock.ts";
import { silentLog } from "../../relay/kit/log.ts";
import { FakeClock } from "../../test/support/fakeClock.ts";
import { Container, type Launch } from "./container.ts";
import { identify, type ProcessIdentity } from "./processes.ts";

let folder: string;
let container: Container | null = null;
let running: ProcessIdentity | null = null;
const within = { timeout: 8000, interval: 20 };

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "container-"));
});
afterEach(async () => {
  container?.kill();
  await container?.stop(0);
  rmSync(folder, { recursive: true, force: true });
});

const log = () => readFileSync(join(folder, "log"), "utf8");

function run(
  script: string,
  options: { clock?: FakeClock; ready?: Launch["ready"]; alive?: Launch["alive"] } = {},
): Container {
  container = new Container({
    clock: options.clock ?? systemClock,
    log: silentLog,
    onChange: () => {},
    record: (identity) => {
      running = identity;
    },
    launch: async () => ({
      command: process.execPath,
      arguments: ["-e", script],
      environment: { GREETING: "hello" },
      logFile: join(folder, "log"),
      ready: options.ready ?? (async () => null),
      alive: options.alive ?? null,
    }),
  });
  container.start();
  return container;
}

const forever = "console.log(process.env.GREETING); setInterval(() => {}, 1000);";

test("a program runs with its environment only, its output in the log, and is ready when its probe says so", async () => {
  let answer: string | null = "no configuration yet";
  const one = run(`console.log(Object.keys(process.env).join()); ${forever}`, { ready: async () => answer });
  await vi.waitFor(
    () => expect(one.status).toMatchObject({ phase: "Running", reason: "no configuration yet" }),
    within,
  );

  answer = null;
  await vi.waitFor(() => expect(one.status).toMatchObject({ ready: true, reason: "" }), within);
  expect(log()).toBe("GREETING\nhello\n");
  expect(running).toEqual(identify(running?.pid ?? 0));
});

test("one failed probe does not take a ready program out of service, three in a row do", async () => {
  const clock = new FakeClock();
  const answers = [null, "busy", null, "busy", "busy", "busy"];
  const one = run(forever, { clock, ready: async () => answers.shift() ?? null });
  await vi.waitFor(() => expect(one.status.phase).toBe("Running"), within);

  const seen: boolean[] = [];
  await clock.advance(150);
  for (let probe = 0; probe < 6; probe++) {
    seen.push(one.status.ready);
    await clock.advance(1000);
  }
  expect(seen).toEqual([true, true, true, true, true, false]);
});

test("a program that ends is started again after 1, 2, 4 … seconds", async () => {
  const clock = new FakeClock();
  const one = run("console.log('up'); process.exitCode = 3", { clock });
  for (const [pause, runs] of [
    [1, 1],
    [2, 2],
    [4, 3],
  ] as const) {
    await vi.waitFor(() => expect(one.status.phase).toBe("Backoff"), within);
    expect(one.status).toMatchObject({
      reason: `it ended with code 3; it starts again in ${pause} s`,
      restarts: runs - 1,
    });
    expect(log()).toBe("up\n".repeat(runs));
    await clock.advance(pause * 1000 - 1);
    expect(one.status.phase).toBe("Backoff");
    await clock.advance(1);
    await vi.waitFor(() => expect(one.status.restarts).toBe(runs), within);
  }
});

test("stop lets the program finish what it does", async () => {
  const one = run(`process.on("SIGTERM", () => { console.log("bye"); process.exit(0); }); ${forever}`);
  await vi.waitFor(() => expect(log()).toBe("hello\n"), within);

  await one.stop(30);

  expect(log()).toBe("hello\nbye\n");
  expect(one.status).toMatchObject({ phase: "Stopped", restarts: 0 });
  expect(running).toBeNull();
});

test("a program that does not stop in its grace is killed", async () => {
  const clock = new FakeClock();
  const one = run(`process.on("SIGTERM", () => console.log("no")); ${forever}`, { clock });
  await vi.waitFor(() => expect(log()).toBe("hello\n"), within);

  const stopped = one.stop(30);
  await vi.waitFor(() => expect(log()).toBe("hello\nno\n"), within);
  await clock.advance(30_000);
  await stopped;

  expect(one.status.phase).toBe("Stopped");
});

test("a program that is killed from outside comes back", async () => {
  const one = run(forever);
  await vi.waitFor(() => expect(log()).toBe("hello\n"), within);
  process.kill(running?.pid ?? 0, "SIGKILL");

  await vi.waitFor(() => expect(log()).toBe("hello\nhello\n"), within);
  expect(one.status).toMatchObject({ restarts: 1, lastEnd: "it was ended by SIGKILL" });
});

test("a program that cannot be started says so and is tried again", async () => {
  container = new Container({
    clock: new FakeClock(),
    log: silentLog,
    onChange: () => {},
    record: () => {},
    launch: () => Promise.reject(new Error("Secret default/mail-runtime does not exist")),
  });
  container.start();

  await vi.waitFor(() => expect(container?.status.phase).toBe("Backoff"), within);
  expect(container.status.reason).toBe("Secret default/mail-runtime does not exist; it starts again in 1 s");
});
