import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, onTestFinished, test, vi } from "vitest";

import { FakeClock } from "../../test/support/fakeClock.ts";
import { certificateFiles, receivingConfig } from "../../test/support/receiving.ts";
import { silentLog } from "../kit/log.ts";
import type { ConfigRead } from "./read.ts";
import { watchConfig } from "./watch.ts";

async function writeState(dir: string, revision: string, text?: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  for (const [name, bytes] of certificateFiles) await writeFile(join(dir, name), bytes);
  await writeFile(join(dir, "next"), text ?? JSON.stringify(receivingConfig({ revision })));
  await rename(join(dir, "next"), join(dir, "relay.json"));
}

/** As the kubelet does: a folder for the state, a link to it, renamed over the former link. */
async function swap(dir: string, revision: string, text?: string): Promise<void> {
  await writeState(join(dir, `..${revision}`), revision, text);
  await symlink(`..${revision}`, join(dir, "..data_tmp"));
  await rename(join(dir, "..data_tmp"), join(dir, "..data"));
}

interface Watching {
  readonly dir: string;
  readonly clock: FakeClock;
  /** Revisions read, or "refused …", in order. */
  readonly told: string[];
  /** Lets time pass, a second at a time, until `count` contents were told. */
  until(count: number): Promise<void>;
  readonly look: () => void;
}

async function watching(
  prepare: (dir: string) => Promise<void>,
  onRead: (read: ConfigRead) => Promise<void> | void = () => {},
): Promise<Watching> {
  const dir = await mkdtemp(join(tmpdir(), "relay-watch-"));
  await prepare(dir);
  const clock = new FakeClock();
  const told: string[] = [];
  const watch = watchConfig({
    dir,
    podName: "mail-0",
    clock,
    log: silentLog,
    onRead: (read) => {
      told.push(read.ok ? read.config.revision : `refused ${read.revision}`);
      return onRead(read);
    },
  });
  onTestFinished(async () => {
    watch.stop();
    expect(clock.pending).toBe(0);
    await rm(dir, { recursive: true, force: true });
  });
  return {
    dir,
    clock,
    told,
    look: () => watch.look(),
    until: (count) =>
      vi.waitFor(
        async () => {
          await clock.advance(1000);
          expect(told.length).toBeGreaterThanOrEqual(count);
        },
        { timeout: 10_000 },
      ),
  };
}

test("a swap of ..data is told, each content once", async () => {
  const watch = await watching((dir) => swap(dir, "1"));
  await watch.until(1);

  await swap(watch.dir, "2");
  await watch.until(2);
  await swap(watch.dir, "3");
  await watch.until(3);
  await watch.clock.advance(60_000);

  expect(watch.told).toEqual(["1", "2", "3"]);
});

test("a file renamed into a plain folder is told, and refused when it is bad", async () => {
  const watch = await watching((dir) => writeState(dir, "1"));
  await watch.until(1);

  await writeState(watch.dir, "", '{"revision": "2"');
  await watch.until(2);
  await writeState(watch.dir, "", '{"revision": "3"}');
  await watch.until(3);
  await writeState(watch.dir, "4");
  await watch.until(4);

  expect(watch.told).toEqual(["1", "refused null", "refused 3", "4"]);
});

test("writing the same content again is told to nobody", async () => {
  const watch = await watching((dir) => swap(dir, "1"));
  await watch.until(1);

  await writeState(join(watch.dir, "..again"), "1");
  await symlink("..again", join(watch.dir, "..data_tmp"));
  await rename(join(watch.dir, "..data_tmp"), join(watch.dir, "..data"));
  await watch.clock.advance(60_000);
  await swap(watch.dir, "2");
  await watch.until(2);

  expect(watch.told).toEqual(["1", "2"]);
});

test("a folder that comes later is found by the slow look, and one that is replaced as well", async () => {
  const watch = await watching((dir) => rm(dir, { recursive: true }));
  await watch.until(1);
  expect(watch.told).toEqual(["refused null"]);

  await writeState(watch.dir, "1");
  await watch.until(2);
  await rm(watch.dir, { recursive: true });
  await writeState(watch.dir, "2");
  await watch.until(3);

  expect(watch.told.filter((entry) => !entry.startsWith("refused"))).toEqual(["1", "2"]);
});

test("contents are told one after the other: the next waits until the last is dealt with", async () => {
  const gate = Promise.withResolvers<void>();
  let running = 0;
  let most = 0;
  const watch = await watching(
    (dir) => swap(dir, "1"),
    async () => {
      most = Math.max(most, ++running);
      await gate.promise;
      running--;
    },
  );
  await watch.until(1);
  await swap(watch.dir, "2");
  await swap(watch.dir, "3");
  await watch.clock.advance(30_000);
  expect(watch.told).toEqual(["1"]);

  gate.resolve();
  await watch.until(2);
  expect(watch.told).toEqual(["1", "3"]);
  expect(most).toBe(1);
});

test("whoever fails to deal with a content is asked again with the next one", async () => {
  const watch = await watching(
    (dir) => swap(dir, "1"),
    () => Promise.reject(new Error("the port is in use")),
  );
  await watch.until(1);
  await swap(watch.dir, "2");
  await watch.until(2);

  expect(watch.told).toEqual(["1", "2"]);
});
