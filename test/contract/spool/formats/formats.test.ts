/** Every format that a release ever wrote is read by this one, and goes on in the newest. */
import { cp, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { silentLog } from "../../../../relay/kit/log.ts";
import { openFileSpool } from "../../../../relay/queue/fileSpool.ts";
import { FORMAT_VERSION } from "../../../../relay/queue/log/record.ts";
import { createMemorySpool } from "../../../../relay/queue/memorySpool.ts";
import type { Spool } from "../../../../relay/queue/spool.ts";
import { FakeClock } from "../../../support/fakeClock.ts";
import { recoverAll } from "../../../support/spool/recoverAll.ts";
import { contentOf } from "../harness.ts";
import { expected, expectedUsage, fill } from "./story.ts";

const formats = (await readdir(import.meta.dirname)).filter((name) => /^v\d+$/.test(name));
const clock = new FakeClock("2026-11-23T13:00:00Z");

// What the story says, not what some spool made of it: the memory spool keeps objects as they came.
await fill(createMemorySpool({ clock }));

test("there is a fixture of every format", () => {
  expect(formats.toSorted()).toEqual(Array.from({ length: FORMAT_VERSION }, (_, n) => `v${n + 1}`));
});

async function check(spool: Spool): Promise<void> {
  const { messages, usage, tornBytes } = await recoverAll(spool);
  expect(Object.fromEntries(messages.map((message) => [message.id, message]))).toEqual(
    Object.fromEntries(Array.from(expected, ([id, { message }]) => [id, message])),
  );
  for (const [id, { content }] of expected) expect(await contentOf(spool, id)).toBe(content);
  expect(usage).toEqual(expectedUsage);
  expect(tornBytes).toBe(0);
}

test.each(formats)(
  "format %s: every message, state, content and use is read; then checkpointed and read again",
  async (name) => {
    const directory = await mkdtemp(join(tmpdir(), "spool-format-"));
    try {
      await cp(join(import.meta.dirname, name), directory, { recursive: true });
      const open = () =>
        openFileSpool({
          ...{ directory, clock, log: silentLog },
          // The first batch after the start writes a checkpoint.
          options: { reserveBytes: 0, checkpointBytes: 1 },
        });
      const spool = await open();
      await check(spool);
      await spool.recordUsage(expectedUsage);
      await spool.close();

      const again = await open();
      await check(again);
      await again.close();
      expect((await readdir(directory)).filter((file) => file.startsWith("checkpoint")).length).toBe(1);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  },
);
