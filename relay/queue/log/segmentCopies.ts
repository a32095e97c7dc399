/**
 * The second place of an envelope: the journal of the segment that its content came with has it as it was
 * accepted. Looked for when the record in log or checkpoint is damaged, and by `smtp-relay spool export`.
 */
import type { MessageId } from "../../message.ts";
import { codeOf, type Files } from "../files.ts";
import { readId } from "./messageDecoder.ts";
import { decodeMetadata, type RawMetadata, recordTypes } from "./metadata.ts";
import { readJournals } from "./segmentJournal.ts";

/** Records of these messages in the journals of one segment, as accepted; what is not there is left out. */
export async function copiesIn(
  files: Pick<Files, "open">,
  { path, segment }: { readonly path: string; readonly segment: number },
  ids: ReadonlySet<MessageId>,
): Promise<Map<MessageId, RawMetadata>> {
  const found = new Map<MessageId, RawMetadata>();
  let file;
  try {
    file = await files.open(path);
  } catch (error) {
    if (codeOf(error) === "ENOENT") return found;
    throw error;
  }
  try {
    await readJournals(file, segment, 0, (records) => {
      for (const record of records) {
        const id = acceptedId(record);
        if (id !== null && ids.has(id))
          found.set(id, { type: record.type, payload: Buffer.from(record.payload) });
      }
    });
  } catch (error) {
    // A journal that is damaged itself has no copy; a disk that fails may have one the next time.
    if (codeOf(error) !== "") throw error;
  } finally {
    await file.close();
  }
  return found;
}

/** The id of a message record, or null when it is another. */
export function acceptedId(record: RawMetadata): MessageId | null {
  if (record.type === recordTypes.message) return readId(record.payload);
  if (record.type !== recordTypes.messageJson) return null;
  const decoded = decodeMetadata(record);
  return decoded?.kind === "message" ? decoded.message.id : null;
}
