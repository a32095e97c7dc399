import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { nodeFiles } from "../files.ts";
import { ContentStore } from "./contentStore.ts";

test("a segment without messages is no victim of compaction: nothing to copy, and it would be chosen for ever", async () => {
  const directory = await mkdtemp(join(tmpdir(), "content-"));
  await writeFile(join(directory, "content-0000000001.seg"), Buffer.alloc(4096));
  const store = new ContentStore({ files: nodeFiles, directory, segmentBytes: 65_536 });
  await store.recover();

  expect(store.compactionVictim(0)).toBeNull();
  await rm(directory, { recursive: true });
});
