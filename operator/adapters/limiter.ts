/** Lets so many actions run at a time; the others wait in line. */

export type Limiter = <T>(action: () => Promise<T>) => Promise<T>;

export function createLimiter(atATime: number): Limiter {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (action) => {
    // Who is woken takes over the place of the one that finished.
    if (running >= atATime) await new Promise<void>((resolve) => waiting.push(resolve));
    else running += 1;
    try {
      return await action();
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  };
}
