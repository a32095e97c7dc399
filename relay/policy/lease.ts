/**
 * The arithmetic of one allowance counter that survives a crash.
 *
 * Units are leased durably before they are spent: after a crash the whole lease counts as used, so that
 * the truth is never above what is known. Two durable numbers that only grow carry this: `taken` (all
 * ever leased) and `returned` (leased, unspent, given back at a clean stop); used = taken − returned.
 * So a crash writes off at most one block, and a clean stop nothing.
 */

export interface Lease {
  /** Durable: units ever leased. */
  readonly taken: number;
  /** Durable: units given back unspent. */
  readonly returned: number;
  /** Accepted recipients, those of former lives and those written off included. */
  readonly spent: number;
  readonly inFlight: number;
}

export const emptyLease: Lease = { taken: 0, returned: 0, spent: 0, inFlight: 0 };

/** Blocks are small so that a crash costs little of a small allowance. */
const LARGEST_BLOCK = 16;
/** Without a limit a written-off block costs nothing but the exactness of a report. */
const UNLIMITED_BLOCK = 256;

/** What a spool remembered after a stop or a crash. A return never exceeds what was taken. */
export function recoveredLease(taken: number, returned: number): Lease {
  return { taken, returned, spent: Math.max(0, taken - returned), inFlight: 0 };
}

/** Units spent or in flight: what counts against the limit. */
export function usedOf(lease: Lease): number {
  return lease.spent + lease.inFlight;
}

/** Units the durable lease still covers. */
export function covered(lease: Lease): number {
  return lease.taken - lease.returned - usedOf(lease);
}

/**
 * What `taken` must durably become before what is reserved now may be spent: unchanged when the lease
 * covers it. Beyond the need it takes a block of at most 16 and a twentieth of the limit, never above it.
 */
export function wantedTaken(lease: Lease, limit: number | null): number {
  const short = -covered(lease);
  if (short <= 0) return lease.taken;
  const block = limit === null ? UNLIMITED_BLOCK : Math.min(LARGEST_BLOCK, Math.floor(limit / 20));
  const ahead = Math.max(0, block - short);
  const room = limit === null ? ahead : Math.max(0, limit - usedOf(lease));
  return lease.taken + short + Math.min(ahead, room);
}

export function reserve(lease: Lease, count: number): Lease {
  return { ...lease, inFlight: lease.inFlight + count };
}

/** Ends `accepted + refused` reserved units: the accepted ones are spent, the others free again. */
export function settle(lease: Lease, accepted: number, refused: number): Lease {
  return {
    ...lease,
    spent: lease.spent + accepted,
    inFlight: lease.inFlight - accepted - refused,
  };
}

/** What `returned` becomes at a clean stop: all that is neither spent nor in flight. */
export function closingReturn(lease: Lease): number {
  return lease.returned + Math.max(0, covered(lease));
}
