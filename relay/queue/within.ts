/** Waiting with an end, on the engine's clock. */
import { type Clock, sleep } from "../kit/clock.ts";

/** Resolves when `work` ends, or after `ms`, whichever is first; leaves no timer behind. Never rejects. */
export async function within(clock: Clock, work: Promise<unknown>, ms: number): Promise<void> {
  const over = new AbortController();
  await Promise.race([Promise.allSettled([work]), sleep(clock, ms, over.signal)]);
  over.abort();
}
