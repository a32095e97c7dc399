/** The thread that commits for SQLite: one batch, one transaction, one answer. Null: give space back and end. */
/* oxlint-disable unicorn/require-post-message-target-origin -- a worker thread has no origin */
import { parentPort, workerData } from "node:worker_threads";

import { type Operation, SqliteTables } from "./sqliteTables.ts";

const tables = new SqliteTables(workerData as string);
parentPort?.on("message", (operations: readonly Operation[] | null) => {
  if (operations === null) {
    tables.shrink();
    tables.close();
    parentPort?.close();
    return;
  }
  try {
    tables.apply(operations);
    parentPort?.postMessage(null);
  } catch (error) {
    parentPort?.postMessage(String(error));
  }
});
parentPort?.postMessage(null);
