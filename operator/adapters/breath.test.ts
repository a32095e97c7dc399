import { expect, test } from "vitest";

import { createBreath } from "./breath.ts";

test("of many who wait for a breath, one goes on in each turn of the event loop", async () => {
  const breathe = createBreath();
  const seen: string[] = [];
  const work = async (name: string) => {
    await breathe();
    seen.push(name);
    await breathe();
    seen.push(name);
  };
  const working = new AbortController();
  const turns = async () => {
    while (!working.signal.aborted) {
      await new Promise((resolve) => setImmediate(resolve));
      seen.push("-");
    }
  };
  const turning = turns();
  await Promise.all(["a", "b", "c"].map(work));
  working.abort();
  await turning;

  expect(seen.join("").replaceAll(/-+/g, "-").replaceAll(/^-|-$/g, "")).toBe("a-b-c-a-b-c");
});
