/** The engines that are compared; the first is ours. */
import type { Engine } from "../engine.ts";

const own = async () => (await import("./own.ts")).openOwn;

export const engines: readonly Engine[] = [
  {
    name: "own",
    about: "FileSpool as it is",
    load: own,
  },
  {
    name: "own-urgent",
    about: "FileSpool whose records of outcomes do not wait 20 ms for company",
    load: async () => {
      const open = await own();
      return (folder) => open(folder, { patienceMs: 0 });
    },
  },
  {
    name: "lmdb",
    about: "LMDB, waiting for flushed",
    load: async () => (await import("./lmdb.ts")).openLmdb,
  },
  {
    name: "sqlite",
    about: "node:sqlite in a worker, WAL, synchronous=FULL, one transaction a batch",
    load: async () => (await import("./sqlite.ts")).openInWorker,
  },
  {
    name: "sqlite-main",
    about: "the same in the main thread, which stands still during a sync",
    load: async () => (await import("./sqlite.ts")).openInMainThread,
  },
];
