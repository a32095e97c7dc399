/**
 * A file system in memory that forgets what was not synced: after `powerLoss` a file has its synced bytes and
 * any part of the later ones, sector by sector, and a name created, renamed or removed since the last sync
 * of the folder is there or not, as chance has it. A sync that fails loses what it should have kept for
 * good, though later syncs of that file succeed (as Linux does). One folder, no subfolders.
 */
import type { Files, StoredFile } from "../../relay/queue/files.ts";

const SECTOR_BYTES = 64;

interface Inode {
  data: Buffer;
  durable: Buffer;
  /** A sync failed: later ones keep nothing. */
  poisoned: boolean;
}

export type Fault = "die" | "fail";

export class PowerLossFiles implements Files {
  readonly #names: Map<string, Inode>;
  #durableNames: Map<string, Inode>;
  #operations = 0;
  #faults = new Map<number, Fault>();
  #dead = false;

  constructor(names = new Map<string, Inode>()) {
    this.#names = names;
    this.#durableNames = new Map(names);
  }

  /** Operations that changed something so far. */
  get operations(): number {
    return this.#operations;
  }

  /** The n-th operation from now fails with EIO, alone or ("die") with all that follow. */
  faultAt(n: number, fault: Fault): void {
    this.#faults.set(this.#operations + n, fault);
  }

  /** What the next life finds; this one ends. */
  powerLoss(draw: () => number): PowerLossFiles {
    this.#dead = true;
    const names = new Map<string, Inode>();
    const known = new Set([...this.#names.keys(), ...this.#durableNames.keys()]);
    for (const path of known) {
      const inode = draw() < 0.5 ? this.#names.get(path) : this.#durableNames.get(path);
      if (inode !== undefined) names.set(path, survivor(inode, draw));
    }
    return new PowerLossFiles(names);
  }

  /** What a file holds, for tests that look or damage. */
  bytesOf(path: string): Buffer {
    return this.#find(path).data;
  }

  setBytes(path: string, bytes: Buffer): void {
    this.#names.set(path, { data: bytes, durable: bytes, poisoned: false });
    this.#durableNames.set(path, this.#find(path));
  }

  /** An independent copy of all that is there now. */
  copy(): PowerLossFiles {
    const names = Array.from(this.#names, ([path, { data }]) => {
      const bytes = Buffer.from(data);
      return [path, { data: bytes, durable: bytes, poisoned: false }] as const;
    });
    return new PowerLossFiles(new Map(names));
  }

  paths(): string[] {
    return [...this.#names.keys()];
  }

  async makeFolder(): Promise<void> {}

  async create(path: string): Promise<StoredFile> {
    await this.#act();
    if (this.#names.has(path)) throw systemError("EEXIST");
    const inode = { data: Buffer.alloc(0), durable: Buffer.alloc(0), poisoned: false };
    this.#names.set(path, inode);
    return this.#file(inode);
  }

  async open(path: string): Promise<StoredFile> {
    await turn();
    return this.#file(this.#find(path));
  }

  async list(folder: string): Promise<string[]> {
    await turn();
    return this.paths().map((path) => path.slice(folder.length + 1));
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#act();
    this.#names.set(to, this.#find(from));
    this.#names.delete(from);
  }

  async remove(path: string): Promise<void> {
    await this.#act();
    this.#names.delete(path);
  }

  async syncFolder(): Promise<void> {
    await this.#act();
    this.#durableNames = new Map(this.#names);
  }

  async freeBytes(): Promise<number> {
    await turn();
    return Number.MAX_SAFE_INTEGER;
  }

  #file(inode: Inode): StoredFile {
    return {
      write: async (buffers, position) => {
        const bytes = Buffer.concat(buffers);
        const write = (part: Buffer) => {
          const size = Math.max(inode.data.length, position + part.length);
          const data = Buffer.alloc(size);
          inode.data.copy(data);
          part.copy(data, position);
          inode.data = data;
        };
        // A failing write has written a part.
        await this.#act(() => write(bytes.subarray(0, bytes.length / 2)));
        write(bytes);
      },
      datasync: async () => {
        await this.#act(() => (inode.poisoned = true));
        if (!inode.poisoned) inode.durable = Buffer.from(inode.data);
      },
      truncate: async (bytes) => {
        await this.#act();
        inode.data = inode.data.subarray(0, bytes);
      },
      read: async (length, position) => {
        await turn();
        return Buffer.from(inode.data.subarray(position, position + length));
      },
      size: async () => inode.data.length,
      close: () => turn(),
    };
  }

  /** Counts an operation, and fails it when its time has come. */
  async #act(onFailure: () => void = () => {}): Promise<void> {
    await turn();
    const fault = this.#faults.get(++this.#operations);
    if (!this.#dead && fault === undefined) return;
    if (!this.#dead) onFailure();
    if (fault === "die") this.#dead = true;
    throw systemError("EIO");
  }

  #find(path: string): Inode {
    const inode = this.#names.get(path);
    if (inode === undefined) throw systemError("ENOENT");
    return inode;
  }
}

/** The synced bytes, with any sectors of the later ones, up to any length between the two. */
function survivor({ data, durable }: Inode, draw: () => number): Inode {
  const chance = draw();
  const pick = (a: number, b: number) =>
    chance < 0.3 ? a : chance < 0.6 ? b : a + Math.floor(draw() * (b - a + 1));
  const length = pick(Math.min(data.length, durable.length), Math.max(data.length, durable.length));
  const bytes = Buffer.alloc(length);
  for (let start = 0; start < length; start += SECTOR_BYTES) {
    const source = draw() < chance ? data : durable;
    source.subarray(start, start + SECTOR_BYTES).copy(bytes, start);
  }
  // What was synced is there, whatever else is.
  durable.copy(bytes);
  return whole(bytes);
}

function whole(bytes: Buffer): Inode {
  return { data: Buffer.from(bytes), durable: Buffer.from(bytes), poisoned: false };
}

function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

function systemError(code: string): Error {
  return Object.assign(new Error(code), { code });
}
