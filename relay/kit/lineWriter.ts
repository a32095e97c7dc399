/**
 * Lines of a log on their way out: those of one turn of the event loop leave in one write, for a write each
 * is a tenth of what it costs to relay a message. A kill -9 may thus cost the lines of the last turn;
 * everything else, exits by a fault of our own included, is flushed.
 */

export interface LineWriter {
  (line: string): void;
  /** Writes what is gathered. */
  flush(): void;
}

/** Beyond this it is written at once: memory stays bounded in a turn that logs a lot. */
const MOST_GATHERED = 64 * 1024;

/** `later` runs an action at the end of the turn; `write` takes lines and must not lose them. */
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
  const writer = gatherLines((lines) => process.stderr.write(lines), setImmediate);
  process.on("exit", () => writer.flush());
  return writer;
}
