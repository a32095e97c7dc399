/** What a commit must be, whatever the store: a caller that breaks it has a bug, not a broken disk. */
import type { MessageId, QueuedMessage } from "../../message.ts";

export function checkCommit(
  message: QueuedMessage,
  writer: {
    readonly id: MessageId;
    readonly bytes: number;
    readonly ended: boolean;
    readonly known: boolean;
  },
): void {
  const refuse = (fact: string) => new Error(`Cannot commit message ${writer.id}: ${fact}.`);
  if (writer.ended) throw refuse("it was committed or aborted before");
  if (writer.known) throw refuse("a message of that id is queued already");
  if (message.id !== writer.id) throw refuse(`the envelope is that of ${message.id}`);
  if (message.sizeBytes !== writer.bytes) {
    throw refuse(`${writer.bytes} bytes were written, its envelope says ${message.sizeBytes}`);
  }
  if (!message.recipients.some((recipient) => recipient.state.kind === "waiting")) {
    throw refuse("no recipient waits for it");
  }
}
