import * as fc from "fast-check";
import { expect, test } from "vitest";

import { BLOCK_BYTES, BlockBuilder, blockPlace, openBlock, storedBytes } from "./contentBlocks.ts";

const ID = "01ARYZ6S410000000000000000";

function stored(chunks: readonly Uint8Array[], id = ID): Buffer[] {
  const builder = new BlockBuilder(id);
  return [...chunks.flatMap((chunk) => builder.push(chunk)), ...builder.end()];
}

test("content in any chunks comes back from its blocks, which lie where they are said to", () => {
  const size = fc.oneof(
    fc.integer({ min: 0, max: 70_000 }),
    fc.constantFrom(0, 4096, BLOCK_BYTES, BLOCK_BYTES + 1),
  );
  fc.assert(
    fc.property(fc.array(size, { maxLength: 5 }), (sizes) => {
      const chunks = sizes.map((length, n) => Buffer.alloc(length, n + 1));
      const content = Buffer.concat(chunks);
      const disk = Buffer.concat(stored(chunks));
      const together = new BlockBuilder(ID);
      expect(Buffer.concat([...together.push(...chunks), ...together.end()]).equals(disk)).toBe(true);
      expect(together.bytes).toBe(content.length);

      expect(disk.length).toBe(storedBytes(content.length));
      const blocks = Array.from({ length: Math.ceil(content.length / BLOCK_BYTES) }, (_, number) => {
        const { offset, bytes } = blockPlace(number, content.length);
        return openBlock(ID, number, disk.subarray(offset, offset + bytes)) ?? Buffer.from("damaged");
      });
      expect(Buffer.concat(blocks).equals(content)).toBe(true);
    }),
    { numRuns: 50 },
  );
});

test("a block is refused under another id, another number, cut, or with any bit flipped", () => {
  const [block = Buffer.alloc(0)] = stored([Buffer.from("some content")]);

  expect(openBlock(ID, 0, block)?.toString()).toBe("some content");
  expect(openBlock("01ARYZ6S410000000000000001", 0, block)).toBeNull();
  expect(openBlock(ID, 1, block)).toBeNull();
  for (let cut = 0; cut < block.length; cut++) expect(openBlock(ID, 0, block.subarray(0, cut))).toBeNull();
  for (let bit = 0; bit < block.length * 8; bit++) {
    const flipped = Buffer.from(block);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(openBlock(ID, 0, flipped)).toBeNull();
  }
});

test("a chunk may be overwritten by its owner after push()", () => {
  const builder = new BlockBuilder(ID);
  const chunk = Buffer.from("kept");
  builder.push(chunk);
  chunk.fill(0);

  expect(openBlock(ID, 0, builder.end()[0] ?? chunk)?.toString()).toBe("kept");
});
