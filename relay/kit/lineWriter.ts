/**
 * Lines of a log on their way out: those of ten milliseconds leave in one write, for a write each is a tenth
 * of what it costs to relay a message. A kill -9 may thus cost the lines of the last ten milliseconds;
 * everything else, exits by a fault of our own included, is flushed.
 */
import { systemClock } from "./clock.ts";

export interface LineWriter {
  (line: string): void;
  /** Writes what is gathered. */
  flush(): void;
}

/** Beyond this it is written at once: memory stays bounded when much is logged. */
const MOST_GATHERED = 64 * 1024;
/** Nobody who follows a log notices. */
const GATHERED_MS = 10;

/** `later` runs an action in a while; `write` takes lines and must not lose them. */
export function gatherLines(write: (lines: string) => void, later: (action: () => void) => void): LineWriter {
  let gathered = "";
  let isDue = false;
  const flush = () => {
    const lines = gathered;
    gathered = "";
    if (lines !== "") write(lines);
  };
  const due = () => {
    isDue = false;
    flush();
  };
  const add = (line: string) => {
    gathered += line;
    if (gathered.length >= MOST_GATHERED) return flush();
    if (isDue) return;
    isDue = true;
    later(due);
  };
  return Object.assign(add, { flush });
}

/** Standard error of this process, flushed when it exits. */
export function standardError(): LineWriter {
  const writer = gatherLines(
    (lines) => process.stderr.write(lines),
    (action) => systemClock.after(GATHERED_MS, action),
  );
  process.on("exit", () => writer.flush());
  return writer;
}
