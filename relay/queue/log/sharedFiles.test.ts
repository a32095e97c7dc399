/** One open file for all who read it, closed by the last one. */
import { expect, test } from "vitest";

import type { StoredFile } from "../files.ts";
import { SharedFiles } from "./sharedFiles.ts";

/** Counts what is open; "missing" is not there. */
function countingFiles() {
  const counts = { opened: 0, open: 0 };
  const open = async (path: string): Promise<StoredFile> => {
    counts.opened++;
    await Promise.resolve();
    if (path === "missing") throw Object.assign(new Error("not there"), { code: "ENOENT" });
    counts.open++;
    return {
      read: async () => Buffer.from(path),
      close: async () => void counts.open--,
      write: async () => {},
      datasync: async () => {},
      truncate: async () => {},
      size: async () => 0,
    };
  };
  return { counts, files: new SharedFiles({ open }) };
}

test("readers of one moment share a file; it is closed with the last one and opened anew after it", async () => {
  const { counts, files } = countingFiles();
  const [first, second] = await Promise.all([files.open("a"), files.open("a")]);
  await files.open("b");
  expect(counts).toEqual({ opened: 2, open: 2 });

  await first.close();
  expect((await second.read(1, 0)).toString()).toBe("a");
  expect(counts.open).toBe(2);
  await second.close();
  expect(counts.open).toBe(1);

  await files.open("a");
  expect(counts).toEqual({ opened: 3, open: 2 });
});

test("a file that cannot be opened fails everyone who waited, and is tried again by the next", async () => {
  const { counts, files } = countingFiles();
  const both = await Promise.allSettled([files.open("missing"), files.open("missing")]);
  expect(both.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
  await expect(files.open("missing")).rejects.toThrow("not there");
  expect(counts).toEqual({ opened: 2, open: 0 });
});
