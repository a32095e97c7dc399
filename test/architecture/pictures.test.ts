/** Pictures in docs/ are drawn from the data they show. */
import { readFileSync } from "node:fs";

import { expect, test } from "vitest";

import { pictureFile, warmupPicture } from "./warmupPicture.ts";

test("the warm-up curves in docs/ are the ramps in force (npm run generate draws them anew)", () => {
  expect(readFileSync(pictureFile, "utf8")).toBe(warmupPicture());
});
