/** Stands in for relay/queue/log/compaction.ts: the same, with points around it and around each copy. */
import { type CompactionParts, compact as compactReal } from "../../../relay/queue/log/compaction.ts";
import { within } from "./hit.ts";

export type { CompactionParts };

export function compact(parts: CompactionParts): Promise<void> {
  return within("compaction.before", "compaction.after", () =>
    compactReal({
      ...parts,
      move: (content) => within("compaction.move.before", "compaction.move.after", () => parts.move(content)),
    }),
  );
}
