/**
 * The real files, with faults at will: every write fails, a given sync fails, a write is torn after some
 * bytes, a place cannot be read, the disk looks full. Counts what is done, so that a test can tell one sync from twenty.
 */
import { nodeFiles, type Files, type StoredFile } from "../../relay/queue/files.ts";

export type FaultCode = "ENOSPC" | "EIO" | "EROFS";

export interface FaultRule {
  readonly operation:
    | "create"
    | "open"
    | "write"
    | "read"
    | "datasync"
    | "rename"
    | "syncFolder"
    | "remove"
    | "truncate";
  /** Matches the path. */
  readonly path: RegExp;
  readonly code: FaultCode;
  /** Of a failing write, this many bytes reach the file all the same. */
  readonly tornAfterBytes?: number;
  /** Of reads, those fail that touch bytes from the first up to the second; without it all do. */
  readonly bytes?: readonly [from: number, to: number];
}

export class FaultyFiles implements Files {
  /** What every statfs says; null: the truth. */
  reportedFreeBytes: number | null = null;
  readonly counts = { write: 0, datasync: 0, syncFolder: 0, create: 0 };
  /** Every write and every sync that was asked for, by path, in order. */
  readonly journal: { readonly operation: "write" | "datasync"; readonly path: string }[] = [];
  #rules: FaultRule[] = [];
  #running = 0;
  #gate: Promise<void> | undefined;

  /** Every operation that changes something fails from now on, or (null) works again. */
  failWrites(code: FaultCode | null): void {
    this.#rules =
      code === null
        ? []
        : (["create", "write", "datasync", "rename", "syncFolder"] as const).map((operation) => ({
            operation,
            path: /./,
            code,
          }));
  }

  fail(...rules: FaultRule[]): void {
    this.#rules.push(...rules);
  }

  /** No fault from now on. */
  mend(): void {
    this.#rules = [];
  }

  /** Runs `action` between two operations: none is under way, none begins until it has ended. */
  async frozen(action: () => Promise<void>): Promise<void> {
    let open = () => {};
    this.#gate = new Promise((resolve) => (open = resolve));
    while (this.#running > 0) await new Promise((resolve) => setImmediate(resolve));
    await action();
    this.#gate = undefined;
    open();
  }

  makeFolder(path: string): Promise<void> {
    return nodeFiles.makeFolder(path);
  }

  create(path: string): Promise<StoredFile> {
    return this.#run(async () => {
      this.counts.create++;
      this.#check("create", path);
      return this.#wrap(path, await nodeFiles.create(path));
    });
  }

  async open(path: string): Promise<StoredFile> {
    this.#check("open", path);
    return this.#wrap(path, await nodeFiles.open(path));
  }

  list(folder: string): Promise<string[]> {
    return nodeFiles.list(folder);
  }

  rename(from: string, to: string): Promise<void> {
    return this.#run(async () => {
      this.#check("rename", from);
      await nodeFiles.rename(from, to);
    });
  }

  remove(path: string): Promise<void> {
    return this.#run(async () => {
      this.#check("remove", path);
      await nodeFiles.remove(path);
    });
  }

  syncFolder(path: string): Promise<void> {
    return this.#run(async () => {
      this.counts.syncFolder++;
      this.#check("syncFolder", path);
      await nodeFiles.syncFolder(path);
    });
  }

  async freeBytes(path: string): Promise<number> {
    return this.reportedFreeBytes ?? (await nodeFiles.freeBytes(path));
  }

  #wrap(path: string, file: StoredFile): StoredFile {
    return {
      write: (buffers, position) =>
        this.#run(async () => {
          this.counts.write++;
          this.journal.push({ operation: "write", path });
          const rule = this.#rule("write", path);
          if (rule === undefined) return file.write(buffers, position);
          if (rule.tornAfterBytes !== undefined) {
            await file.write([Buffer.concat(buffers).subarray(0, rule.tornAfterBytes)], position);
          }
          throw fault(rule);
        }),
      datasync: () =>
        this.#run(async () => {
          this.counts.datasync++;
          this.journal.push({ operation: "datasync", path });
          this.#check("datasync", path);
          await file.datasync();
        }),
      read: async (length, position) => {
        const rule = this.#rules.find(
          ({ operation, path: affected, bytes: [from, to] = [0, Number.POSITIVE_INFINITY] }) =>
            operation === "read" && affected.test(path) && position < to && position + length > from,
        );
        if (rule !== undefined) throw fault(rule);
        return file.read(length, position);
      },
      size: () => file.size(),
      truncate: (bytes) =>
        this.#run(async () => {
          this.#check("truncate", path);
          await file.truncate(bytes);
        }),
      close: () => file.close(),
    };
  }

  async #run<T>(operation: () => Promise<T>): Promise<T> {
    while (this.#gate !== undefined) await this.#gate;
    this.#running++;
    try {
      return await operation();
    } finally {
      this.#running--;
    }
  }

  #check(operation: FaultRule["operation"], path: string): void {
    const rule = this.#rule(operation, path);
    if (rule !== undefined) throw fault(rule);
  }

  #rule(operation: FaultRule["operation"], path: string): FaultRule | undefined {
    return this.#rules.find((rule) => rule.operation === operation && rule.path.test(path));
  }
}

function fault(rule: FaultRule): Error {
  return Object.assign(new Error(`${rule.code}: injected into ${rule.operation}`), { code: rule.code });
}
