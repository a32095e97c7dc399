import { expect, test } from "vitest";

import { FakeClock } from "../../test/support/fakeClock.ts";
import { Terminal } from "./terminal.ts";

const clear = (lines: number) => `\u001b[${lines}A\u001b[0J`;

function terminal(size: { columns: number; rows: number } | null) {
  const clock = new FakeClock();
  const written: string[] = [];
  const one = new Terminal({
    write: (text) => void written.push(text),
    size: size === null ? null : () => size,
    clock,
  });
  return { clock, one, taken: () => written.splice(0).join("") };
}

test("in a terminal the table is redrawn in place, at most once a second and only when it changed", async () => {
  const { clock, one, taken } = terminal({ columns: 40, rows: 10 });
  let text = "a";
  one.show(() => ({ key: text, lines: () => ["HEAD", text] }));
  expect(taken()).toBe("HEAD\na\n");

  await clock.advance(3000);
  expect(taken()).toBe("");
  text = "b";
  await clock.advance(999);
  expect(taken()).toBe("");
  await clock.advance(1);
  expect(taken()).toBe(`${clear(2)}HEAD\nb\n`);
});

test("the passing of time alone moves it every ten seconds, so that text can be selected", async () => {
  const { clock, one, taken } = terminal({ columns: 40, rows: 10 });
  const start = clock.now();
  one.show(() => ({ key: "", lines: () => [`${(clock.now() - start) / 1000}s`] }));
  taken();

  await clock.advance(9_999);
  expect(taken()).toBe("");
  await clock.advance(1);
  expect(taken()).toBe(`${clear(1)}10s\n`);
});

test("a line that stays is printed above the table", () => {
  const { one, taken } = terminal({ columns: 40, rows: 10 });
  one.show(() => ({ key: "", lines: () => ["table"] }));
  taken();

  one.say("applied");
  expect(taken()).toBe(`${clear(1)}applied\ntable\n`);
});

test("a table is cut to the screen", () => {
  const { one, taken } = terminal({ columns: 10, rows: 5 });
  one.show(() => ({ key: "", lines: () => ["a".repeat(20), "b", "c", "d"] }));

  expect(taken()).toBe(`${"a".repeat(9)}…\nb\n… and 2 more\n`);
});

test("piped, the table is printed again only when more than the age has changed", async () => {
  const { clock, one, taken } = terminal(null);
  let key = "1";
  let age = 0;
  one.show(() => ({ key, lines: () => [`${key} ${age++}s`] }));
  expect(taken()).toBe("1 0s\n");

  await clock.advance(10_000);
  expect(taken()).toBe("");
  key = "2";
  await clock.advance(1000);
  expect(taken()).toBe("2 1s\n");
});

test("what strangers write cannot move the cursor", () => {
  const { one, taken } = terminal({ columns: 40, rows: 10 });
  one.say("refused: \u001b[2Jx");

  expect(taken()).toBe("refused:  [2Jx\n");
});

test("a frozen table stays on the screen and nothing is left to run", () => {
  const { clock, one, taken } = terminal({ columns: 40, rows: 10 });
  one.show(() => ({ key: "", lines: () => ["table"] }));
  taken();
  one.freeze();
  one.say("bye");

  expect(taken()).toBe("bye\n");
  expect(clock.pending).toBe(0);
});
