/** Stands in for node:fs/promises in relay/queue/log/lock.ts, with points around its steps. */
import { link as linkReal, rename as renameReal, rm as rmReal } from "node:fs/promises";

import { within } from "./hit.ts";

export { readFile, writeFile } from "node:fs/promises";

export const link: typeof linkReal = (from, to) =>
  within("lock.link.before", "lock.link.after", () => linkReal(from, to));

export const rename: typeof renameReal = (from, to) =>
  within("lock.rename.before", "lock.rename.after", () => renameReal(from, to));

export const rm: typeof rmReal = (path, options) =>
  within("lock.rm.before", "lock.rm.after", () => rmReal(path, options));
