/**
 * The ledger: which pod may spend which part of an address's allowance, in thousandths (promise 4).
 *
 * What each pod may still send plus what it has sent stays within its part, and the parts never exceed 1000
 * together, whatever arrives late, restarts or stays silent:
 * - A part is written here before any configuration grants it, and it grows only into what the others leave.
 * - It shrinks only when the pod's fresh report shows the published revision in force and that revision
 *   asks for less; and never below what the pod used today, so that what is spent is not granted again.
 * - A pod that does not answer keeps its part for as long as it, its volume's turn in a configuration or its
 *   relay's pods may still be there.
 * - A pod that is gone keeps it until the UTC day on which it was found gone is over: what it used last is
 *   unknown. A whole day more when its relay is gone too, for then nobody saw it end.
 * - A new or replaced queue volume knows no former use. The pod's configuration says since when its use is
 *   known (`spoolSince` here, `usageSince` there); a spool begun later spends nothing on its first day.
 *
 * It is safe as long as ledger and configuration are written in turns, each from a fresh look at the other
 * (operator/plan/index.ts says what callers owe).
 */
import type { AddressStatus } from "./rows.ts";
import { addDays, utcDay } from "./days.ts";

export type Share = NonNullable<AddressStatus["shares"]>[number];

export const WHOLE = 1000;
/** Bound of the list in the API; further pods wait for a part. */
const MOST_SHARES = 100;
/** `usageSince` of a pod whose spool was never seen. */
export const NEVER_SEEN = "1970-01-01T00:00:00Z";

/** All that is known now of a pod that holds or should hold a part. */
export interface PodHolding {
  /** "NAMESPACE/POD". */
  readonly pod: string;
  /** Part it should hold. */
  readonly wanted: number;
  /** Part the published configuration lets it spend; 0 when it is not in there. */
  readonly published: number;
  /** Its fresh report shows the published revision in force. */
  readonly confirmed: boolean;
  /** The pod object is there. */
  readonly exists: boolean;
  /**
   * Part of the cap it used, the largest of today's total and providers (and of later days, should its
   * clock be ahead), by its report; null when it did not say or spoke before today.
   */
  readonly usedPermille: number | null;
  /** When its spool began, by its report; null when it did not say. */
  readonly spoolSince: string | null;
}

/** The next ledger of one address. `pods` holds every pod of the relays in view; `now` gives the UTC day. */
export function nextShares(
  previous: readonly Share[],
  pods: readonly PodHolding[],
  now: number,
): readonly Share[] {
  const today = utcDay(now);
  const holdings = new Map(pods.map((pod) => [pod.pod, pod]));
  const kept = new Map<string, Share>();
  for (const share of previous) {
    const next = keep(share, holdings.get(share.pod), today);
    if (next !== null) kept.set(share.pod, next);
  }
  for (const pod of pods) {
    if (pod.wanted > 0 && !kept.has(pod.pod) && kept.size < MOST_SHARES) {
      kept.set(pod.pod, withSpool({ pod: pod.pod, permille: 0 }, pod, today));
    }
  }
  grow(kept, holdings);
  return [...kept.values()].sort((a, b) => (a.pod < b.pod ? -1 : a.pod > b.pod ? 1 : 0));
}

/** What one former share becomes before anything grows; null: it is free again. */
function keep(share: Share, holding: PodHolding | undefined, today: string): Share | null {
  const mayRun = holding !== undefined && (holding.exists || holding.wanted > 0 || holding.published > 0);
  if (!mayRun) {
    if (share.goneOn === undefined) return { ...share, goneOn: today };
    const freeFrom = addDays(share.goneOn, holding === undefined ? 2 : 1);
    return today >= freeFrom ? null : share;
  }
  const { goneOn: _cameBack, ...present } = share;
  const next = withSpool(present, holding, today);
  const permille = shrunk(next, holding, today);
  return permille === 0 && holding.wanted === 0 ? null : { ...next, permille };
}

/** The smaller part, once the pod is known to be content with it. */
function shrunk(share: Share, holding: PodHolding, today: string): number {
  if (!holding.confirmed || holding.usedPermille === null) return share.permille;
  const used = lostToday(share, today, holding.spoolSince) ? share.permille : holding.usedPermille;
  return Math.min(share.permille, Math.max(holding.wanted, holding.published, used));
}

/**
 * Whether the pod's spool began today, after the one whose use we know: what was used before is lost, so
 * that its whole part counts as used until the day is over.
 */
export function lostToday(share: Share, today: string, spoolSince: string | null): boolean {
  return (
    spoolSince !== null &&
    share.spoolSince !== undefined &&
    Date.parse(spoolSince) > Date.parse(share.spoolSince) &&
    utcDay(Date.parse(spoolSince)) >= today
  );
}

/** Takes note of the spool: the first one seen at once, a later one when its first day is over. */
function withSpool(share: Share, holding: PodHolding, today: string): Share {
  if (holding.spoolSince === null || share.spoolSince === holding.spoolSince) return share;
  const firstSeen = share.spoolSince === undefined;
  if (!firstSeen && utcDay(Date.parse(holding.spoolSince)) >= today) return share;
  return { ...share, spoolSince: holding.spoolSince };
}

/** Hands what nobody holds to those who want more, in proportion to what they lack. */
function grow(shares: Map<string, Share>, holdings: ReadonlyMap<string, PodHolding>): void {
  let free = WHOLE;
  for (const share of shares.values()) free -= share.permille;
  const growers = [...shares.values()]
    .map((share) => ({ share, lacks: (holdings.get(share.pod)?.wanted ?? 0) - share.permille }))
    .filter(({ lacks }) => lacks > 0)
    .sort((a, b) => (a.share.pod < b.share.pod ? -1 : 1));
  const lacking = growers.reduce((sum, { lacks }) => sum + lacks, 0);
  if (free <= 0 || lacking === 0) return;
  const gains = growers.map(({ lacks }) => (lacking <= free ? lacks : Math.floor((free * lacks) / lacking)));
  let left = Math.min(free, lacking) - gains.reduce((sum, gain) => sum + gain, 0);
  for (const [index, { share, lacks }] of growers.entries()) {
    const gain = gains[index] ?? 0;
    const extra = left > 0 && gain < lacks ? 1 : 0;
    left -= extra;
    shares.set(share.pod, { ...share, permille: share.permille + gain + extra });
  }
}

/** The part of `pod` in a ledger. */
export function permilleOfPod(shares: readonly Share[] | undefined, pod: string): number {
  return shares?.find((share) => share.pod === pod)?.permille ?? 0;
}
