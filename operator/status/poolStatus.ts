/** IpPool: World and plan → status. */
import type { IpPoolStatus } from "../../crds/ipPool.ts";
import type { Plan, PoolWorld } from "../world.ts";

export function poolStatus(_world: PoolWorld, _plan: Plan): IpPoolStatus {
  throw new Error("Cannot summarise a pool yet");
}
