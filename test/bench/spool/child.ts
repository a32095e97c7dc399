/**
 * One measurement in a process of its own, so that no engine's memory, threads or garbage is another's:
 * `node child.ts ENGINE WORK FOLDER NUMBERS`, with the result as JSON on standard output.
 */
import { openSync, writeSync } from "node:fs";

import { engines } from "./engines/index.ts";
import { fillAndDie, large, life, recover } from "./work.ts";

const [name, work, folder = "", numbers = "{}"] = process.argv.slice(2);
const engine = engines.find((each) => each.name === name);
if (engine === undefined) throw new Error(`There is no engine ${name}.`);
const {
  inFlight = 1,
  messages = 1,
  bytes = 1,
} = JSON.parse(numbers) as {
  inFlight?: number;
  messages?: number;
  bytes?: number;
};

const open = await engine.load();

switch (work) {
  case "life": {
    // Where a phase begins, for whoever reads the system calls (syncs.ts).
    const nowhere = openSync("/dev/null", "w");
    const mark = (phase: string) => void writeSync(nowhere, `phase ${phase}\n`);
    console.log(JSON.stringify(await life(open, folder, { inFlight, messages, mark })));
    break;
  }
  case "fill":
    await fillAndDie(open, folder, messages);
    break;
  case "recover":
    console.log(JSON.stringify(await recover(open, folder)));
    break;
  case "large":
    console.log(JSON.stringify(await large(open, folder, bytes)));
    break;
  default:
    throw new Error(`There is no work ${work}.`);
}
