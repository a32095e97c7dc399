import { describe, expect, test } from "vitest";

import { gatherLines } from "./lineWriter.ts";

function world() {
  const written: string[] = [];
  const turns: (() => void)[] = [];
  const write = gatherLines(
    (lines) => written.push(lines),
    (action) => turns.push(action),
  );
  return {
    write,
    written,
    endOfTurn: () => {
      for (const action of turns.splice(0)) action();
    },
  };
}

describe("lines of a log", () => {
  test("leave together at the end of the turn, in order", () => {
    const { write, written, endOfTurn } = world();
    write("one\n");
    write("two\n");
    expect(written).toEqual([]);
    endOfTurn();
    expect(written).toEqual(["one\ntwo\n"]);
  });

  test("of the next turn leave at its end", () => {
    const { write, written, endOfTurn } = world();
    write("one\n");
    endOfTurn();
    write("two\n");
    endOfTurn();
    expect(written).toEqual(["one\n", "two\n"]);
  });

  test("are not gathered without bound", () => {
    const { write, written } = world();
    for (let index = 0; index < 100; index++) write(`${"x".repeat(1000)}\n`);
    expect(written.join("").length).toBeGreaterThan(60_000);
  });

  test("are out once flushed, as at an exit, and do not come twice", () => {
    const { write, written, endOfTurn } = world();
    write("one\n");
    write.flush();
    expect(written).toEqual(["one\n"]);
    endOfTurn();
    expect(written).toEqual(["one\n"]);
  });
});
