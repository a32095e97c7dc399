/**
 * Inside the relay under test: where a point is passed, and whether this life ends there. What the harness
 * must know is written to file descriptor 3 at once, so that it survives the kill.
 */
import { writeSync } from "node:fs";

import type { Point } from "./table.ts";

const [wanted, nth = "1"] = (process.env["CRASH_POINT"] ?? "").split("#");
const failing = process.env["CRASH_FAILING"];
let passes = 0;
let toFail = failing === undefined ? 0 : Number(process.env["CRASH_FAIL_AT"] ?? "5");

export function tell(line: string): void {
  try {
    writeSync(3, `${line}\n`);
  } catch {
    // Run by hand, without a harness.
  }
}

/** Ends the process when the life is to end at this point. */
export function hit(point: Point): void {
  if (isLast(point)) die(point);
}

/** As `hit`, for who does half of the work first. */
export function isLast(point: Point): boolean {
  return point === wanted && ++passes >= Number(nth);
}

export function die(point: Point): never {
  tell(`hit ${point}`);
  process.kill(process.pid, "SIGKILL");
  // The signal ends every thread; this one does nothing more until it does.
  for (;;) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** Runs `work` between the two points around it. */
export async function within<T>(before: Point, after: Point, work: () => Promise<T>): Promise<T> {
  hit(before);
  const result = await work();
  hit(after);
  return result;
}

/** Whether this write to such a file is the one that the disk shall fail. */
export function fails(where: string): boolean {
  return where === failing && toFail > 0 && --toFail === 0;
}
