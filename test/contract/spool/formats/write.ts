/**
 * Writes the fixture of the format this release writes: `node test/contract/spool/formats/write.ts FOLDER`. Run
 * it once when FORMAT_VERSION is raised, before the next change, and commit the folder: from then on every
 * release must read it (formats.test.ts), to exactly what `expected` says.
 */
import { rm } from "node:fs/promises";
import { join } from "node:path";

import { systemClock } from "../../../../relay/kit/clock.ts";
import { silentLog } from "../../../../relay/kit/log.ts";
import { openFileSpool } from "../../../../relay/queue/fileSpool.ts";
import { fill } from "./story.ts";

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error("usage: node test/contract/spool/formats/write.ts FOLDER");
const spool = await openFileSpool({
  directory,
  clock: systemClock,
  log: silentLog,
  // A checkpoint early on, and one message in a file of its own; nothing is deleted behind our back.
  options: { reserveBytes: 0, inlineBytes: 4096, checkpointBytes: 900 },
});
await spool.recover();
await fill(spool);
await spool.close();
await rm(join(directory, "lock"), { force: true });
