/**
 * Files that are being read, each open once however many read it: deliveries of one moment read the same
 * segment, and opening and closing it for each of them shows in a profile. A file is closed when its last
 * reader leaves, so that none outlives its use.
 */
import type { Files, StoredFile } from "../files.ts";

export type ReadableFile = Pick<StoredFile, "read" | "close">;

export class SharedFiles {
  readonly #files: Pick<Files, "open">;
  /** Those with a reader. */
  readonly #shared = new Map<string, { readonly file: Promise<StoredFile>; readers: number }>();

  constructor(files: Pick<Files, "open">) {
    this.#files = files;
  }

  /** Rejects as `Files.open` does. Who got a file closes it, once. */
  async open(path: string): Promise<ReadableFile> {
    const shared = this.#shared.get(path) ?? { file: this.#files.open(path), readers: 0 };
    this.#shared.set(path, shared);
    shared.readers++;
    const isLast = () => {
      shared.readers--;
      return shared.readers === 0 && this.#shared.delete(path);
    };
    try {
      const file = await shared.file;
      return {
        read: (length, position) => file.read(length, position),
        close: async () => {
          if (isLast()) await file.close();
        },
      };
    } catch (error) {
      isLast();
      throw error;
    }
  }
}
