/** Where `smtp-relay spool` reads and writes: the process, or a test. */
import type { Readable } from "node:stream";

import type { Voice } from "../order.ts";

export interface SpoolTerminal extends Voice {
  /** Bytes to standard output as they are. */
  readonly write: (bytes: Uint8Array) => void;
  /** Resolves when what was written has left: who writes much, waits. */
  readonly drained: () => Promise<void>;
  readonly input: () => Readable;
  /** What is being done; replaces what was said before. "": it is over. */
  readonly progress: (text: string) => void;
}
