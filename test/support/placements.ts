/** Whether conditions carry only reasons that the table allows where they stand (crds/conditions.ts). */
import { type Placement, type ReasonMeaning, reasons } from "../../crds/conditions.ts";
import type { Condition } from "../../crds/fields.ts";
import type { KindName } from "../../crds/group.ts";

/** "Ready=True Sending" of every condition that is out of place; empty when all are right. */
export function misplacedReasons(kind: KindName, conditions: readonly Condition[] | undefined): string[] {
  const table: Readonly<Record<string, ReasonMeaning>> = reasons;
  return (conditions ?? []).flatMap(({ type, status, reason }) => {
    const placement = `${type}=${status}` as Placement;
    const meaning = table[reason];
    const allowed = meaning?.kinds.includes(kind) === true && meaning.on.includes(placement);
    return allowed ? [] : [`${kind}: ${placement} ${reason}`];
  });
}
