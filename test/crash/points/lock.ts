/** Stands in for relay/queue/log/lock.ts: the same, with points around it. Its steps: lockFiles.ts. */
import { lockFolder as lockReal } from "../../../relay/queue/log/lock.ts";
import { within } from "./hit.ts";

export function lockFolder(directory: string): Promise<() => Promise<void>> {
  return within("lock.before", "lock.after", () => lockReal(directory));
}
