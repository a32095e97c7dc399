/**
 * When a deferred recipient is tried again, and when it is given up.
 *
 * The delays are 5, 10, 20, 40 min, 1, 2, 3 h, then every 4 h, each stretched or shortened by up to 15 %
 * so that what was deferred together does not return together. Another first delay scales the whole
 * ladder, the longest delay caps it. Age decides expiry, not the count of attempts: a receiver that was
 * down for a day has cost the message nothing but the day. The last try is brought forward to a minute
 * before expiry, so that a short-lived message is not given up with time left.
 */
import type { Instant } from "../message.ts";

export interface RetryPolicy {
  readonly firstDelaySeconds: number;
  readonly longestDelaySeconds: number;
}

export type NextTry = { readonly kind: "retry"; readonly at: Instant } | { readonly kind: "expired" };

// RFC 5321 §4.5.4.1 asks for two tries in the first hour, then one every two or three hours, and that
// the parameters be configurable; the first rung is short because greylisting is the usual cause.
const ladderSeconds = [300, 600, 1200, 2400, 3600, 7200, 10_800, 14_400] as const;
/** RFC 6647: most greylists open within five minutes; the same source and envelope must return. */
const greylistSeconds = [300, 900, 1800] as const;
const JITTER = 0.15;
/** The last try happens this long before expiry. */
export const LAST_CALL_MS = 60_000;

/** Delay before the try after `attempts` failed ones (at least 1). `draw` is in [0, 1). */
export function retryDelaySeconds(policy: RetryPolicy, attempts: number, draw: number): number {
  const rung = Math.min(Math.max(attempts, 1), ladderSeconds.length) - 1;
  const scale = policy.firstDelaySeconds / ladderSeconds[0];
  const capped = Math.min((ladderSeconds[rung] ?? 0) * scale, policy.longestDelaySeconds);
  return capped * (1 - JITTER + 2 * JITTER * draw);
}

/** Greylisting: 5 to 6 min, then 15 and 30 min, then the ordinary ladder; never above the longest delay. */
export function greylistDelaySeconds(policy: RetryPolicy, attempts: number, draw: number): number {
  const seconds = greylistSeconds[Math.max(attempts, 1) - 1];
  if (seconds === undefined) return retryDelaySeconds(policy, attempts, draw);
  // Only later, never sooner: a greylist that is asked too early starts anew.
  return Math.min(seconds * (1 + draw / 5), policy.longestDelaySeconds);
}

/** Turns a delay into an instant, or into expiry when not even a last call fits. */
export function nextTry(now: Instant, delaySeconds: number, expiresAt: Instant): NextTry {
  const delayMs = Math.max(0, Math.round(delaySeconds * 1000));
  const at = Math.min(now + delayMs, expiresAt - LAST_CALL_MS);
  // A last call that is almost now has just been made.
  const soonest = now + Math.min(delayMs, LAST_CALL_MS / 2);
  return at < soonest || at >= expiresAt ? { kind: "expired" } : { kind: "retry", at };
}
