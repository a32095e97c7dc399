/**
 * The queue in SQLite's tables: WAL, `synchronous=FULL`, one transaction for all operations of a batch. Used by
 * both engines, in a worker and in the main thread.
 */
import { join } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";

import type { Waiting } from "../engine.ts";

/** One operation of a batch; bytes as they are stored. */
export type Operation =
  | { readonly kind: "piece"; readonly key: number; readonly data: Uint8Array }
  | {
      readonly kind: "put";
      readonly number: number;
      readonly id: string;
      readonly dueAt: number;
      readonly domain: string;
      readonly pieces: number;
      readonly envelope: Uint8Array;
    }
  | { readonly kind: "record"; readonly id: string; readonly dueAt: number; readonly state: Uint8Array }
  | { readonly kind: "remove"; readonly id: string };

/** Pieces of one message at most; the key of a piece is its message's number and its own. */
export const MOST_PIECES = 65_536;

export interface Stored {
  readonly envelope: Uint8Array;
  readonly state: Uint8Array | null;
  readonly number: number;
  readonly pieces: number;
}

export class SqliteTables {
  readonly #database: DatabaseSync;
  readonly #begin: StatementSync;
  readonly #commit: StatementSync;
  readonly #piece: StatementSync;
  readonly #put: StatementSync;
  readonly #record: StatementSync;
  readonly #remove: StatementSync;
  readonly #removePieces: StatementSync;
  readonly #find: StatementSync;
  readonly #read: StatementSync;

  constructor(folder: string) {
    const database = new DatabaseSync(join(folder, "queue.sqlite"));
    database.exec(`
      PRAGMA page_size = 8192;
      PRAGMA auto_vacuum = INCREMENTAL;
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      PRAGMA wal_autocheckpoint = 2048;
      PRAGMA cache_size = -32768;
      PRAGMA busy_timeout = 10000;
      CREATE TABLE IF NOT EXISTS message (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, due INTEGER NOT NULL, domain TEXT NOT NULL,
        pieces INTEGER NOT NULL, envelope BLOB NOT NULL, state BLOB
      ) STRICT;
      CREATE TABLE IF NOT EXISTS content (key INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
    `);
    this.#database = database;
    this.#begin = database.prepare("BEGIN IMMEDIATE");
    this.#commit = database.prepare("COMMIT");
    this.#piece = database.prepare("INSERT INTO content (key, data) VALUES (?, ?)");
    this.#put = database.prepare(
      "INSERT INTO message (number, id, due, domain, pieces, envelope) VALUES (?, ?, ?, ?, ?, ?)",
    );
    this.#record = database.prepare("UPDATE message SET due = ?, state = ? WHERE id = ?");
    this.#find = database.prepare("SELECT number, pieces, envelope, state FROM message WHERE id = ?");
    this.#remove = database.prepare("DELETE FROM message WHERE number = ?");
    this.#removePieces = database.prepare("DELETE FROM content WHERE key >= ? AND key < ?");
    this.#read = database.prepare("SELECT data FROM content WHERE key = ?");
  }

  /** One transaction; returns when it is on stable storage. */
  apply(operations: readonly Operation[]): void {
    this.#begin.run();
    for (const operation of operations) {
      switch (operation.kind) {
        case "piece":
          this.#piece.run(operation.key, operation.data);
          break;
        case "put": {
          const { number, id, dueAt, domain, pieces, envelope } = operation;
          this.#put.run(number, id, dueAt, domain, pieces, envelope);
          break;
        }
        case "record":
          this.#record.run(operation.dueAt, operation.state, operation.id);
          break;
        case "remove": {
          const found = this.find(operation.id);
          if (found === null) break;
          this.#remove.run(found.number);
          this.#removePieces.run(found.number * MOST_PIECES, (found.number + 1) * MOST_PIECES);
        }
      }
    }
    this.#commit.run();
  }

  find(id: string): Stored | null {
    return (this.#find.get(id) as unknown as Stored | undefined) ?? null;
  }

  piece(number: number, piece: number): Uint8Array {
    const row = this.#read.get(number * MOST_PIECES + piece) as { readonly data: Uint8Array } | undefined;
    if (row === undefined) throw new Error(`Piece ${piece} of message ${number} is not there.`);
    return row.data;
  }

  get nextNumber(): number {
    const row = this.#database.prepare("SELECT coalesce(max(number), 0) + 1 AS next FROM message").get();
    return Number(row?.["next"]);
  }

  *waiting(): Generator<Waiting> {
    const rows = this.#database.prepare("SELECT id, due AS dueAt, domain FROM message ORDER BY id").iterate();
    for (const row of rows) yield row as unknown as Waiting;
  }

  /** Gives free pages back to the file system, which SQLite does only when told. */
  shrink(): void {
    this.#database.exec("PRAGMA incremental_vacuum");
  }

  close(): void {
    this.#database.close();
  }
}
