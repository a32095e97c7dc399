/** IpPool → the records its addresses need. A pool owns no objects. */
import type { IpPool } from "../../crds/kinds.ts";
import type { ExpectedRecord, Plan, PoolWorld } from "../world.ts";

export function expectedPoolRecords(_pool: IpPool): readonly ExpectedRecord[] {
  return [];
}

export function planPool(_world: PoolWorld): Plan {
  return { objects: [], deletes: [], needs: [], problems: [] };
}
