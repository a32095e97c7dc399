/** IpPool → the records its addresses need, and what is wrong with it. A pool owns no objects. */
import type { IpPool } from "../../crds/kinds.ts";
import type { ExpectedRecord, Plan, PoolWorld, Problem } from "../world.ts";
import { addressOwner, nameOf } from "./claims.ts";
import { poolRecords } from "./dnsRecords.ts";
import { blocking } from "./problem.ts";

/** The questions to ask DNS about this pool. */
export function expectedPoolRecords(pool: IpPool): readonly ExpectedRecord[] {
  return pool.spec.checks.forwardConfirmedReverseDns === "Skip" ? [] : poolRecords(pool);
}

export function planPool(world: PoolWorld): Plan {
  const problems: Problem[] = [];
  for (const address of world.pool.spec.addresses) {
    const owner = addressOwner(world.pool, address.ip, world.allPools);
    if (owner !== null) {
      problems.push(
        blocking(
          "AddressClaimed",
          `Address ${address.name} (${address.ip}) belongs to ${nameOf(owner)}, which is older; remove it from one of the two.`,
        ),
      );
    }
  }
  return { objects: [], deletes: [], needs: [], problems };
}
