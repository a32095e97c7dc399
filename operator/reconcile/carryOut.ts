/** Carries out what a plan wants written, and hands back what prevented it, so that status is told first. */
import type { Plan } from "../world.ts";
import type { Writer } from "./writer.ts";

export async function carryOut(plan: Plan, writer: Writer): Promise<Error | undefined> {
  try {
    await writer.apply(plan.objects);
    await writer.delete(plan.deletes);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

/** Plans are made again after their needs were satisfied; more rounds than this mean a defect. */
export const MOST_ROUNDS = 4;
