/**
 * Is an address doing well enough to send more tomorrow? From the counters of two days (today's and
 * yesterday's): healthy, or hold with the number that says why. And its rating over seven days, for people.
 *
 * Thresholds: refusals for our reputation up to 5 %, refusals for the recipient's sake (hard bounces) up to
 * 2 %, judged from 100 results on; twice as bad (10 %, and 5 %) is Poor. They follow the limits large
 * providers and sending services publish. A single provider can hold the address: its opinion is the one
 * that spreads. Deferrals are no result: what waits may yet be taken.
 */
import type { Counter } from "../../relay/contract/report.ts";

export const HEALTH_DAYS = 2;
export const RATING_DAYS = 7;
/** Fewer results than this say nothing. */
export const MINIMUM_SAMPLE = 100;

const hold = { blockedPermille: 50, bouncedPermille: 20 } as const;
const poor = { blockedPermille: 100, bouncedPermille: 50 } as const;

export type Health = { readonly kind: "healthy" } | { readonly kind: "hold"; readonly reason: string };

export interface Results {
  readonly delivered: number;
  readonly bouncedPermille: number;
  readonly blockedPermille: number;
  readonly sample: number;
}

export function resultsOf(counters: readonly Counter[]): Results {
  let [delivered, bounced, blocked] = [0, 0, 0];
  for (const counter of counters) {
    delivered += counter.delivered;
    bounced += counter.bounced;
    blocked += counter.blocked;
  }
  const sample = delivered + bounced + blocked;
  const permille = (part: number) => (sample === 0 ? 0 : Math.round((part * 1000) / sample));
  return { delivered, bouncedPermille: permille(bounced), blockedPermille: permille(blocked), sample };
}

/** `counters` of one address over the last `HEALTH_DAYS` days. */
export function judgeHealth(counters: readonly Counter[]): Health {
  const byProvider = new Map<string, Counter[]>();
  for (const counter of counters) {
    byProvider.set(counter.provider, [...(byProvider.get(counter.provider) ?? []), counter]);
  }
  const groups: [string, readonly Counter[]][] = [["", counters]];
  groups.push(...[...byProvider].sort(([a], [b]) => (a < b ? -1 : 1)));
  for (const [provider, group] of groups) {
    const reason = whyHold(resultsOf(group));
    if (reason !== null) return { kind: "hold", reason: provider === "" ? reason : `${provider}: ${reason}` };
  }
  return { kind: "healthy" };
}

function whyHold(results: Results): string | null {
  if (results.sample < MINIMUM_SAMPLE) return null;
  if (results.blockedPermille > hold.blockedPermille) {
    return `${percent(results.blockedPermille)} blocked in ${HEALTH_DAYS} days; at most ${percent(hold.blockedPermille)}`;
  }
  if (results.bouncedPermille > hold.bouncedPermille) {
    return `${percent(results.bouncedPermille)} bounced in ${HEALTH_DAYS} days; at most ${percent(hold.bouncedPermille)}`;
  }
  return null;
}

export type Rating = "Unknown" | "Good" | "Fair" | "Poor";

export function rate({ sample, blockedPermille, bouncedPermille }: Results): Rating {
  if (sample < MINIMUM_SAMPLE) return "Unknown";
  if (blockedPermille >= poor.blockedPermille || bouncedPermille >= poor.bouncedPermille) return "Poor";
  return blockedPermille > hold.blockedPermille || bouncedPermille > hold.bouncedPermille ? "Fair" : "Good";
}

const badness: Readonly<Record<Rating, number>> = { Unknown: 0, Good: 1, Fair: 2, Poor: 3 };

/** The worst rating of several; Unknown when nobody is known. */
export function worstRating(ratings: readonly Rating[]): Rating {
  return ratings.reduce<Rating>((worst, one) => (badness[one] > badness[worst] ? one : worst), "Unknown");
}

/** "6.2 %" */
function percent(permille: number): string {
  return `${(permille / 10).toLocaleString("en", { maximumFractionDigits: 1 })} %`;
}
