/**
 * What a person who asks for one message is told, whatever has become of it: how it stands in the queue, that it is
 * set aside, or that its envelope cannot be read just now and what the relay does about it.
 */
import type { SetAside, Unreadable } from "../contract/admin.ts";
import type { MessageId } from "../message.ts";
import type { Engine } from "./engine.ts";
import { SpoolError } from "./spool.ts";

/** `ask` is for how it stands. Null when it is not, or no longer, queued. */
export async function toldOf<Told>(
  engine: Pick<Engine, "setAside" | "unreadable">,
  id: MessageId,
  ask: (id: MessageId) => Promise<Told | null>,
): Promise<Told | SetAside | Unreadable | null> {
  try {
    return (await ask(id)) ?? engine.setAside(id);
  } catch (error) {
    if (!(error instanceof SpoolError)) throw error;
    return engine.setAside(id) ?? engine.unreadable(id, error.message);
  }
}
