/**
 * Ends what does not end by itself. Every wait of the queue on something that may never answer has a bound
 * here: a peer that says nothing or trickles for ever, a lookup, a signature, a promise that got lost.
 *
 * The time-outs of smtp/deliver are shorter and each about one reply or one block; what they cannot see is
 * a peer that is just quick enough for each, and a fault of our own.
 */
import type { Clock } from "../kit/clock.ts";

/** What the watchdog ends; values of a metric's label. */
export type Watched =
  /** Signing, reading a password, writing down an allowance: work of our own before the peer is asked. */
  | "preparation"
  /** A transaction in which nothing moved. */
  | "silence"
  /** A transaction that moved, and would not end. */
  | "duration"
  /** A lookup in DNS. */
  | "lookup";

export const PREPARATION_MS = 60_000;
// RFC 5321 §4.5.3.2.6: after the final dot a server may take ten minutes; half of it again is ours.
export const SILENCE_MS = 15 * 60_000;
/**
 * One of each time-out of RFC 5321 §4.5.3.2 at one host (33 minutes) fits in; so do greetings that never
 * come at five addresses (28 minutes). A hundred recipients at five minutes each do not.
 */
export const LONGEST_MS = 45 * 60_000;
/** What the content may take besides, by its size. Postfix's smtp_min_data_rate is 500 bytes a second. */
export const SLOWEST_BYTES_A_SECOND = 1024;
/** The resolver gives up on its servers sooner; this is for the resolver. */
export const LOOKUP_MS = 2 * 60_000;
/** A deliverer that does not even end when told to is left behind after this. */
export const ABANDON_MS = 60_000;

export interface Watchdog {
  readonly signal: AbortSignal;
  /** Why it ended the transaction, null when it did not. */
  readonly barked: () => { readonly what: Watched; readonly fact: string } | null;
  /** Says that something happened. */
  readonly moved: () => void;
  /** The preparation is done; from here on the peer is watched. */
  readonly prepared: (sizeBytes: number) => void;
  /** Resolves with null when the preparation, or the deliverer after it, is to be left behind. */
  readonly abandoned: Promise<null>;
  stop(): void;
}

/** Watches one transaction from its preparation on; aborts it too when `stop` does. One timer. */
export function watch(clock: Clock, stop: AbortSignal): Watchdog {
  const controller = new AbortController();
  const began = clock.now();
  let lastMoved = began;
  let deadline: number | null = null;
  let barked: ReturnType<Watchdog["barked"]> = null;
  let cancel = () => {};
  let leave: (value: null) => void = () => {};
  const abandoned = new Promise<null>((resolve) => (leave = resolve));

  const abort = () => {
    if (controller.signal.aborted) return;
    controller.abort();
    cancel();
    // Nothing was begun that could end in order.
    if (deadline === null) leave(null);
    else cancel = clock.after(ABANDON_MS, () => leave(null));
  };
  const bark = (what: Watched, fact: string) => {
    barked = { what, fact };
    abort();
  };
  const look = () => {
    const now = clock.now();
    if (deadline === null) return bark("preparation", `was not ready to start after ${minutes(now - began)}`);
    if (now >= deadline) return bark("duration", `did not end within ${minutes(now - began)}`);
    if (now - lastMoved >= SILENCE_MS) return bark("silence", `did not move for ${minutes(now - lastMoved)}`);
    cancel = clock.after(Math.min(lastMoved + SILENCE_MS, deadline) - now, look);
  };
  cancel = clock.after(PREPARATION_MS, look);
  if (stop.aborted) abort();
  else stop.addEventListener("abort", abort, { once: true });
  return {
    signal: controller.signal,
    barked: () => barked,
    moved: () => (lastMoved = clock.now()),
    prepared(sizeBytes) {
      lastMoved = clock.now();
      deadline = lastMoved + LONGEST_MS + (sizeBytes / SLOWEST_BYTES_A_SECOND) * 1000;
    },
    abandoned,
    stop() {
      cancel();
      stop.removeEventListener("abort", abort);
    },
  };
}

/** The result of `work`, or null when it takes longer than `ms`; then its end is nobody's any more. */
export async function bounded<T>(clock: Clock, work: Promise<T>, ms: number): Promise<T | null> {
  let cancel = () => {};
  const late = new Promise<null>((resolve) => (cancel = clock.after(ms, () => resolve(null))));
  try {
    return await Promise.race([work, late]);
  } finally {
    cancel();
  }
}

export function minutes(ms: number): string {
  const count = Math.round(ms / 60_000);
  return `${count} minute${count === 1 ? "" : "s"}`;
}
