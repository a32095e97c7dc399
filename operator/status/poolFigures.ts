/**
 * The numbers of an IpPool's status, held still between moves (figures.ts). Places on the ramp, parts of the
 * ledger and states are no figures: they are what the relays act by, and move at once.
 */
import type { IpPoolStatus } from "../../crds/ipPool.ts";
import { timestampOf } from "../warmup/days.ts";
import type { AddressStatus } from "../warmup/rows.ts";
import { figuresMove, type Movement, movementOf } from "./figures.ts";

/** Part of the day's limit by which use has to move. */
const USE_STEP = 0.02;
/** Rates move by this many thousandths. */
const RATE_STEP = 2;

export interface CalmFigures {
  readonly addresses: readonly AddressStatus[];
  readonly figuresAt: string | undefined;
}

/** `addresses` as found now; back come their old figures unless it is time for all of them to move. */
export function calmFigures(
  before: IpPoolStatus | undefined,
  addresses: readonly AddressStatus[],
  now: number,
  figuresSeconds: number,
): CalmFigures {
  const former = new Map(before?.addresses?.map((address) => [address.name, address]));
  const movements = addresses.flatMap((address) => movementsOf(former.get(address.name), address));
  if (figuresMove(movements, before?.figuresAt, now, figuresSeconds)) {
    return { addresses, figuresAt: timestampOf(now) };
  }
  return {
    addresses: addresses.map((address) => {
      const old = former.get(address.name);
      return old === undefined || old.ip !== address.ip ? address : withFiguresOf(old, address);
    }),
    figuresAt: before?.figuresAt,
  };
}

function movementsOf(old: AddressStatus | undefined, address: AddressStatus): readonly Movement[] {
  if (old === undefined || old.ip !== address.ip) return ["atOnce"];
  return [useMovement(old, address), ...ratingMovements(old, address), ...shareMovements(old, address)];
}

function useMovement({ warmup: old }: AddressStatus, { warmup }: AddressStatus): Movement {
  if (warmup === undefined || old === undefined) return warmup === old ? "none" : "atOnce";
  // Another day or limit: the old figure speaks of something else.
  if (old.day !== warmup.day || old.dayLimit !== warmup.dayLimit) return "atOnce";
  const [from, to] = [old.usedToday, warmup.usedToday];
  if (from === to) return "none";
  if (from === 0 || to === 0) return "atOnce";
  const crosses = (part: number) => from < part * warmup.dayLimit !== to < part * warmup.dayLimit;
  return Math.abs(to - from) >= USE_STEP * warmup.dayLimit || crosses(0.9) || crosses(1)
    ? "inAMinute"
    : "none";
}

function ratingMovements(
  { reputation: old }: AddressStatus,
  { reputation }: AddressStatus,
): readonly Movement[] {
  if (reputation === undefined || old === undefined) return reputation === old ? [] : ["atOnce"];
  const rate = (from: number, to: number): Movement =>
    Math.abs(to - from) >= RATE_STEP || (from === 0) !== (to === 0) ? "inAMinute" : "none";
  return [
    reputation.rating === old.rating ? "none" : "atOnce",
    movementOf({ before: old.delivered7d, now: reputation.delivered7d, kind: "count" }) === "none"
      ? "none"
      : "inAMinute",
    rate(old.bouncedPermille, reputation.bouncedPermille),
    rate(old.blockedPermille, reputation.blockedPermille),
  ];
}

/** A part that appears brings its figures along; the day of use turns with midnight. */
function shareMovements(old: AddressStatus, address: AddressStatus): readonly Movement[] {
  const former = new Map(old.shares?.map((share) => [share.pod, share]));
  return (address.shares ?? []).map((share) => {
    const before = former.get(share.pod);
    return before !== undefined && before.day !== share.day ? "inAMinute" : "none";
  });
}

function withFiguresOf(old: AddressStatus, address: AddressStatus): AddressStatus {
  const former = new Map(old.shares?.map((share) => [share.pod, share]));
  const { warmup, reputation, shares, ...rest } = address;
  return {
    ...rest,
    ...(warmup === undefined
      ? {}
      : {
          warmup: {
            ...warmup,
            usedToday: old.warmup?.usedToday ?? warmup.usedToday,
            // Its reason has a number of its own; whether it holds is told by tomorrowLimit.
            nextStage: sameVerdict(old, address)
              ? (old.warmup?.nextStage ?? warmup.nextStage)
              : warmup.nextStage,
          },
        }),
    ...(reputation === undefined ? {} : { reputation: old.reputation ?? reputation }),
    ...(shares === undefined
      ? {}
      : {
          shares: shares.map((share) => {
            const { day: _day, used: _used, ...part } = share;
            const before = former.get(share.pod);
            return {
              ...part,
              ...(before?.day === undefined ? {} : { day: before.day }),
              ...(before?.used === undefined ? {} : { used: before.used }),
            };
          }),
        }),
  };
}

function sameVerdict(old: AddressStatus, address: AddressStatus): boolean {
  return (
    old.warmup?.stage === address.warmup?.stage &&
    old.warmup?.tomorrowLimit === address.warmup?.tomorrowLimit &&
    old.warmup?.nextStage.startsWith("holds:") === address.warmup?.nextStage.startsWith("holds:")
  );
}
