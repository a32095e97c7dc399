import { expect, test } from "vitest";

import { FakeClock } from "../../test/support/fakeClock.ts";
import { createListTurns, type ListRank } from "./listTurns.ts";

/** Pages that are read until the test ends them. */
function stage() {
  const clock = new FakeClock();
  const turns = createListTurns(clock, 2);
  const begun: string[] = [];
  const ends = new Map<string, (error?: Error) => void>();
  const pages: Promise<unknown>[] = [];
  const page = (rank: ListRank, name: string) => {
    const read = turns.page(rank, async () => {
      begun.push(name);
      await new Promise<void>((resolve, reject) => {
        ends.set(name, (error) => (error === undefined ? resolve() : reject(error)));
      });
    });
    read.catch(() => {});
    pages.push(read);
  };
  const end = async (name: string, error?: Error) => {
    ends.get(name)?.(error);
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  };
  return { clock, turns, begun, page, end };
}

test("few pages are under way at a time; one that fails gives its turn back", async () => {
  const { begun, page, end } = stage();
  for (const name of ["1", "2", "3", "4"]) page("made", name);
  await end("none");
  expect(begun).toEqual(["1", "2"]);

  await end("1", new Error("connection reset"));
  expect(begun).toEqual(["1", "2", "3"]);
  await end("2");
  expect(begun).toEqual(["1", "2", "3", "4"]);
});

test("what people edit is listed before what was made from it, between its pages too", async () => {
  const { turns, begun, page, end } = stage();
  const [relays, domains] = [turns.begin("edited"), turns.begin("edited")];
  page("made", "secrets 1");
  page("edited", "relays 1");
  page("edited", "domains 1");
  page("edited", "domains 2");
  await end("relays 1");
  await end("domains 1");
  relays();
  await end("domains 2");
  expect(begun).toEqual(["relays 1", "domains 1", "domains 2"]);

  domains();
  await end("none");
  expect(begun.at(-1)).toBe("secrets 1");
});

test("there is a rush from the first list to the end of the last, and its end is told", () => {
  const { clock, turns } = stage();
  let told = 0;
  turns.afterRush(() => (told += 1));
  const ends = [turns.begin("made"), turns.begin("edited")];
  ends[0]?.();
  expect([turns.rush, told]).toEqual([true, 0]);

  ends[1]?.();
  expect([turns.rush, told, clock.pending]).toEqual([false, 1, 0]);
});

test("a list that hangs is no rush for ever, and the next one is one again", async () => {
  const { clock, turns } = stage();
  let told = 0;
  turns.afterRush(() => (told += 1));
  const end = turns.begin("edited");
  await clock.advance(9_999);
  expect(turns.rush).toBe(true);

  await clock.advance(1);
  expect([turns.rush, told]).toEqual([false, 1]);
  const another = turns.begin("made");
  expect(turns.rush).toBe(false);
  end();
  another();
  expect(told).toBe(1);

  turns.begin("made");
  expect(turns.rush).toBe(true);
});
