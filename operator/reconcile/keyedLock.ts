/** Locks by name, several at once: who needs the same pool waits, others go on. */

export class KeyedLock {
  readonly #tails = new Map<string, Promise<void>>();

  /** Runs `action` while holding all of `names`. */
  async run<T>(names: readonly string[], action: () => Promise<T>): Promise<T> {
    // All are queued for in one step, so that no two callers can wait for each other.
    const unique = [...new Set(names)];
    const before = unique.flatMap((name) => this.#tails.get(name) ?? []);
    let release: () => void = () => {};
    const mine = new Promise<void>((resolve) => {
      release = resolve;
    });
    for (const name of unique) this.#tails.set(name, mine);
    await Promise.all(before);
    try {
      return await action();
    } finally {
      for (const name of unique) if (this.#tails.get(name) === mine) this.#tails.delete(name);
      release();
    }
  }
}
