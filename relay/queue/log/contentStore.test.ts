import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { nodeFiles } from "../files.ts";
import { BlockBuilder } from "./contentBlocks.ts";
import { ContentStore, FRAME_BYTES } from "./contentStore.ts";

test("a segment without messages is no victim of compaction: nothing to copy, and it would be chosen for ever", async () => {
  const directory = await mkdtemp(join(tmpdir(), "content-"));
  await writeFile(join(directory, "content-0000000001.seg"), Buffer.alloc(4096));
  const store = new ContentStore({ files: nodeFiles, directory, segmentBytes: 65_536 });
  await store.recover();

  expect(store.compactionVictim(0)).toBeNull();
  await rm(directory, { recursive: true });
});

test("a lone message of ten KiB ends with its page, and the next one begins a page of its own", async () => {
  const folder = await mkdtemp(join(tmpdir(), "content-"));
  const segment = join(folder, "content-0000000001.seg");
  const record = { type: 1, payload: Buffer.from("a record") };
  const bytes = async (sizeBytes: number) => {
    const content = { id: idOf(sizeBytes), sizeBytes, blocks: blocksOf(idOf(sizeBytes), sizeBytes) };
    const places = await store.place([content]);
    (await store.append([content], [record])).accept();
    return { place: places[0], end: (await stat(segment)).size };
  };
  const store = new ContentStore({ files: nodeFiles, directory: folder, segmentBytes: 65_536 });

  expect((await bytes(10_240)).end).toBe(12_288);
  const second = await bytes(10_241);
  expect(second.place?.offset).toBe(12_288 + FRAME_BYTES);
  expect(second.end).toBe(24_576);
  // Where it would be mostly zeros, there are none: the batch has some 700 bytes, its page 3,400 more.
  expect((await bytes(600)).end).toBeLessThan(24_576 + 1024);
  const third = await bytes(10_242);

  // A life later every journal is found behind the padding, and nothing counts as torn.
  const again = new ContentStore({ files: nodeFiles, directory: folder, segmentBytes: 65_536 });
  await again.recover();
  const batches: string[] = [];
  const { tornBytes } = await again.readJournals({ segment: 1, offset: 0 }, ([first]) =>
    batches.push(String(first?.payload)),
  );
  expect(batches).toEqual(["a record", "a record", "a record", "a record"]);
  expect(tornBytes).toBe(0);
  expect((await stat(segment)).size).toBe(third.end);
  await rm(folder, { recursive: true });
});

function blocksOf(id: string, sizeBytes: number): Buffer[] {
  const builder = new BlockBuilder(id);
  return [...builder.push(Buffer.alloc(sizeBytes, "x")), ...builder.end()];
}

function idOf(n: number): string {
  return `01J${String(n).padStart(23, "0")}`;
}
