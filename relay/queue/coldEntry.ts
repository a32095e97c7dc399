/**
 * Messages of the backlog for people who ask: loaded for the answer, and let go of again. They look as they
 * would in memory, and their place says what they wait for there.
 */
import type { MessageId, QueuedMessage } from "../message.ts";
import type { BacklogRow } from "./backlogView.ts";
import type { EnginePorts } from "./enginePorts.ts";
import { createEntry, type Entry, pack } from "./parcel.ts";
import type { QueueState } from "./queueState.ts";

/** A queued message as it stands, wherever it waits; null when it is not queued. Rejects when it cannot be read. */
export async function entryOf(ports: EnginePorts, state: QueueState, id: MessageId): Promise<Entry | null> {
  const known = state.entries.get(id);
  if (known !== undefined) return known;
  if (state.backlog.view.row(id) === null) return null;
  const [message = null] = await ports.spool.load([id]);
  if (message instanceof Error) throw message;
  // It may have come into memory, or gone, meanwhile.
  const row = state.backlog.view.row(id);
  return state.entries.get(id) ?? (message === null || row === null ? null : coldEntry(message, row));
}

export function coldEntry(message: QueuedMessage, row: BacklogRow): Entry {
  const entry = createEntry(message);
  for (const parcel of pack(entry, [...entry.recipients.keys()])) {
    // Set back, or due later than the one the message waits for.
    const at = Math.max(parcel.dueAt, row.dueAt);
    const last = entry.recipients[parcel.indices[0] ?? -1]?.last;
    const since = Math.max(last?.at ?? 0, message.receivedAt);
    parcel.note = row.note;
    parcel.place =
      row.inLane && parcel.dueAt <= row.dueAt
        ? { kind: "inLane", lane: row.lane }
        : { kind: "scheduled", node: { at, item: parcel, order: 0, index: -1 }, since };
    entry.parcels.add(parcel);
  }
  return entry;
}
