/**
 * LMDB by `lmdb`, which batches what a turn brings into one transaction and commits on a thread of its own.
 * Envelopes, states and content are three tables; values are bytes, envelopes in the spool's own codec, so that
 * it is the store that is compared. Durable is `flushed`: a commit alone is only visible.
 */
import { join } from "node:path";

import { type Database, open } from "lmdb";

import type { MessageId } from "../../../../relay/message.ts";
import { decodeMessage, decodeUpdate } from "../../../../relay/queue/log/messageDecoder.ts";
import { encodeMessage, encodeUpdate } from "../../../../relay/queue/log/messageEncoder.ts";
import { readChanges, readFront } from "../../../../relay/queue/log/messageFacts.ts";
import { PIECE_BYTES, type Store, type Waiting, wholePieces } from "../engine.ts";
import { applied, domainsOf } from "./states.ts";

/** Pieces of a large message that are on their way to a transaction: 1 MiB. */
const MOST_PIECES = 16;

export async function openLmdb(folder: string): Promise<Store> {
  const root = open({
    path: join(folder, "data.mdb"),
    // The promise of a write has `flushed`, which resolves when its transaction is on stable storage.
    separateFlushed: true,
    encoding: "binary",
    // Small and large values share the file; the map grows as needed.
    maxDbs: 3,
    compression: false,
  });
  const table = (name: string): Database<Buffer, string> =>
    root.openDB<Buffer, string>({ name, encoding: "binary" });
  const [envelopes, states, contents] = [table("envelopes"), table("states"), table("contents")];
  const keyOf = (id: MessageId, piece: number) => `${id}.${piece}`;
  const durable = (written: Promise<boolean>) =>
    (written as Promise<boolean> & { readonly flushed: Promise<unknown> }).flushed;
  return {
    async recover() {
      return waiting();
    },
    async put(message, content) {
      let number = 0;
      let written: Promise<boolean> | undefined;
      for (const piece of wholePieces(content)) {
        written = contents.put(keyOf(message.id, number), piece);
        number++;
        if (number % MOST_PIECES === 0) await written;
      }
      await durable(envelopes.put(message.id, encodeMessage(message, null)));
    },
    async record(update) {
      await durable(states.put(update.id, encodeUpdate(update)));
    },
    async read(id, onPiece) {
      const bytes = envelopes.get(id);
      if (bytes === undefined) throw new Error(`Message ${id} is not there.`);
      const { message } = decodeMessage(bytes);
      for (let at = 0, number = 0; at < message.sizeBytes; at += PIECE_BYTES, number++) {
        const piece = contents.get(keyOf(id, number));
        if (piece === undefined) throw new Error(`Piece ${number} of message ${id} is not there.`);
        onPiece(piece);
      }
      const state = states.get(id);
      return state === undefined ? message : applied(message, decodeUpdate(state));
    },
    async remove(id) {
      const bytes = envelopes.get(id);
      if (bytes === undefined) return;
      const { sizeBytes } = readFront(bytes);
      for (let at = 0, number = 0; at < sizeBytes; at += PIECE_BYTES, number++)
        void contents.remove(keyOf(id, number));
      void states.remove(id);
      await durable(envelopes.remove(id));
    },
    close: () => root.close(),
  };

  function* waiting(): Generator<Waiting> {
    const domainOf = domainsOf();
    const due = new Map<string, number>();
    for (const { key, value } of states.getRange()) {
      for (const change of readChanges(value)) due.set(key, change.at);
    }
    for (const { key, value } of envelopes.getRange()) {
      yield { id: key, dueAt: due.get(key) ?? readFront(value).dueAt, domain: domainOf(value) };
    }
  }
}
