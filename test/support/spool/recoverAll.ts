/** Recovers a spool and loads every message it names: all that a former life left, as one value. */
import type { QueuedMessage } from "../../../relay/message.ts";
import type { RecoveredSpool, Spool } from "../../../relay/queue/spool.ts";

export interface RecoveredAll extends Omit<RecoveredSpool, "count" | "waiting"> {
  readonly messages: readonly QueuedMessage[];
}

export async function recoverAll(spool: Spool): Promise<RecoveredAll> {
  const { count, waiting, ...rest } = await spool.recover();
  const ids = Array.from(waiting, (message) => message.id);
  if (ids.length !== count) throw new Error(`recover() counts ${count} messages and names ${ids.length}.`);
  const messages = (await spool.load(ids)).map((message, index) => {
    if (message === null) throw new Error(`recover() names message ${ids[index]}, which is not queued.`);
    if (message instanceof Error) throw message;
    return message;
  });
  return { messages, ...rest };
}
