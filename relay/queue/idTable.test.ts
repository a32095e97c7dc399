/** The table of ids against a Map, over random histories of additions and removals. */
import * as fc from "fast-check";
import { expect, test } from "vitest";

import { createUlids, ulidTime } from "../kit/ulid.ts";
import { seededRandom } from "../../test/support/seededRandom.ts";
import { IdTable, packId, unpackId } from "./idTable.ts";

const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const anyId = fc
  .tuple(
    fc.integer({ min: 0, max: 7 }),
    fc.array(fc.integer({ min: 0, max: 31 }), { minLength: 25, maxLength: 25 }),
  )
  .map(([first, rest]) => [first, ...rest].map((value) => alphabet.charAt(value)).join(""));

test("an id is its 128 bits, there and back, and sorts and dates as its text does", () => {
  fc.assert(
    fc.property(anyId, anyId, (a, b) => {
      const words = new Uint32Array(4);
      packId(a, words);
      expect(unpackId(words)).toBe(a);
      const table = new IdTable(() => {});
      const [first, second] = [table.add(a), table.add(b)];
      expect(table.isBefore(first, second)).toBe(a < b);
      expect(table.timeOf(first)).toBe(ulidTime(a));
      const bytes = Buffer.alloc(20);
      table.writeId(first, bytes, 3);
      expect(table.findBytes(bytes, 3)).toBe(first);
    }),
  );
});

test("thousands of ids that come and go: what is found is what a Map finds, and slots are used again", () => {
  for (let seed = 1; seed <= 3; seed++) {
    const random = seededRandom(seed);
    const newId = createUlids({ clock: { now: () => 1_000_000, after: () => () => {} }, random });
    const model = new Map<string, number>();
    let capacity = 0;
    const table = new IdTable((next) => (capacity = next));
    const gone: string[] = [];
    const misplaced: string[] = [];
    for (let step = 0; step < 6000; step++) {
      if (random.draw() < 0.55 || model.size === 0) {
        const id = newId();
        const slot = table.add(id);
        if (slot >= capacity || table.add(id) !== slot) misplaced.push(id);
        model.set(id, slot);
      } else {
        const [first, second] = model.keys();
        const id = (random.draw() < 0.5 ? first : second) ?? first ?? "";
        table.remove(model.get(id) ?? -1);
        model.delete(id);
        gone.push(id);
      }
    }
    expect(misplaced).toEqual([]);
    expect(table.size).toBe(model.size);
    expect(new Set(model.values()).size).toBe(model.size);
    for (const [id, slot] of model) {
      expect(table.find(id)).toBe(slot);
      expect(table.idOf(slot)).toBe(id);
      expect(table.isUsed(slot)).toBe(true);
    }
    for (const id of gone) expect(table.find(id)).toBe(-1);
    expect(table.end).toBeLessThan(model.size + 200);
  }
});
