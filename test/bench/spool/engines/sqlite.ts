/**
 * SQLite by `node:sqlite`. Its calls block their thread for the length of a sync, so a worker makes them: what
 * arrives while one transaction is committed is the next one. Reads have a connection of their own in the
 * main thread, which WAL allows beside the writer. The second engine commits in the main thread, for
 * comparison: no copies between threads, and the event loop stands still meanwhile.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";

import { createGroupCommit } from "../../../../relay/queue/log/groupCommit.ts";
import { decodeMessage, decodeUpdate } from "../../../../relay/queue/log/messageDecoder.ts";
import { encodeMessage, encodeUpdate } from "../../../../relay/queue/log/messageEncoder.ts";
import { waitingOf } from "../../../../relay/queue/spool.ts";
import { PIECE_BYTES, type Store, wholePieces } from "../engine.ts";
import { MOST_PIECES, type Operation, SqliteTables } from "./sqliteTables.ts";
import { applied } from "./states.ts";

/** As our own batches: larger ones take longer than they save. */
const BATCH_BYTES = 1024 * 1024;
/** Bytes of a large message in one transaction. */
const STREAM_BYTES = 1024 * 1024;

export function openInWorker(folder: string): Promise<Store> {
  return openSqlite(folder, async () => {
    const worker = new Worker(new URL("sqliteWorker.ts", import.meta.url), { workerData: folder });
    await once(worker, "message");
    return {
      async commit(operations) {
        const answered = once(worker, "message");
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
        worker.postMessage(operations);
        const [failure] = (await answered) as [string | null];
        if (failure !== null) throw new Error(failure);
      },
      async close() {
        // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a worker thread has no origin
        worker.postMessage(null);
        await once(worker, "exit");
      },
    };
  });
}

export function openInMainThread(folder: string): Promise<Store> {
  return openSqlite(folder, async (tables) => ({
    commit: async (operations) => tables.apply(operations),
    close: async () => tables.shrink(),
  }));
}

interface Writer {
  commit(operations: readonly Operation[]): Promise<void>;
  close(): Promise<void>;
}

async function openSqlite(
  folder: string,
  writerOf: (tables: SqliteTables) => Promise<Writer>,
): Promise<Store> {
  const tables = new SqliteTables(folder);
  const writer = await writerOf(tables);
  const commits = createGroupCommit<readonly Operation[]>({
    batchBytes: BATCH_BYTES,
    patience: () => {},
    flush: (groups) => writer.commit(groups.flat()),
  });
  let next = tables.nextNumber;
  const bytesOf = (operations: readonly Operation[]) =>
    operations.reduce((sum, each) => sum + (each.kind === "piece" ? each.data.length : 256), 0);
  const submit = (operations: readonly Operation[]) => commits.submit(operations, bytesOf(operations));
  return {
    recover: async () => tables.waiting(),
    async put(message, content) {
      const number = next++;
      let pieces = 0;
      let operations: Operation[] = [];
      for (const data of wholePieces(content)) {
        operations.push({ kind: "piece", key: number * MOST_PIECES + pieces, data });
        pieces++;
        if (operations.length * PIECE_BYTES < STREAM_BYTES) continue;
        await submit(operations);
        operations = [];
      }
      const { dueAt, domain } = waitingOf(message);
      const envelope = encodeMessage(message, null);
      operations.push({ kind: "put", number, id: message.id, dueAt, domain, pieces, envelope });
      await submit(operations);
    },
    async record(update) {
      const state = update.changes[0]?.recipient.state;
      const dueAt = state?.kind === "waiting" ? state.dueAt : 0;
      await submit([{ kind: "record", id: update.id, dueAt, state: encodeUpdate(update) }]);
    },
    async read(id, onPiece) {
      const found = tables.find(id);
      if (found === null) throw new Error(`Message ${id} is not there.`);
      const { message } = decodeMessage(asBuffer(found.envelope));
      for (let piece = 0; piece < found.pieces; piece++) onPiece(tables.piece(found.number, piece));
      return found.state === null ? message : applied(message, decodeUpdate(asBuffer(found.state)));
    },
    remove: (id) => submit([{ kind: "remove", id }]),
    async close() {
      await commits.idle();
      await writer.close();
      tables.close();
    },
  };
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
