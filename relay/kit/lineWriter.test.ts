import { describe, expect, test } from "vitest";

import { gatherLines } from "./lineWriter.ts";

function world() {
  const written: string[] = [];
  const waits: (() => void)[] = [];
  const write = gatherLines(
    (lines) => written.push(lines),
    (action) => waits.push(action),
  );
  return {
    write,
    written,
    pass: () => {
      for (const action of waits.splice(0)) action();
    },
  };
}

describe("lines of a log", () => {
  test("leave together after a while, in order", () => {
    const { write, written, pass } = world();
    write("one\n");
    write("two\n");
    expect(written).toEqual([]);
    pass();
    expect(written).toEqual(["one\ntwo\n"]);
  });

  test("that come later leave later", () => {
    const { write, written, pass } = world();
    write("one\n");
    pass();
    write("two\n");
    pass();
    expect(written).toEqual(["one\n", "two\n"]);
  });

  test("are not gathered without bound", () => {
    const { write, written } = world();
    for (let index = 0; index < 100; index++) write(`${"x".repeat(1000)}\n`);
    expect(written.join("").length).toBeGreaterThan(60_000);
  });

  test("are out once flushed, as at an exit, and do not come twice", () => {
    const { write, written, pass } = world();
    write("one\n");
    write.flush();
    expect(written).toEqual(["one\n"]);
    pass();
    expect(written).toEqual(["one\n"]);
  });
});
