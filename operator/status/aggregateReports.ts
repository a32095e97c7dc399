/** What the pods of a relay say together, and who of them said nothing. */
import type { PodView } from "../world.ts";
import type { RelayReport, Restraint } from "../../relay/contract/report.ts";

export interface Aggregate {
  readonly reports: ReadonlyMap<string, RelayReport>;
  /** Pods that did not answer. */
  readonly silent: readonly string[];
  readonly messages: number;
  readonly oldestSeconds: number | null;
  /** Recipients that wait, by provider. */
  readonly waiting: ReadonlyMap<string, number>;
  readonly restraints: readonly (Restraint & { readonly pod: string })[];
  readonly failedSpools: readonly { readonly pod: string; readonly reason: string }[];
}

export function aggregateReports(pods: readonly PodView[]): Aggregate {
  const reports = new Map<string, RelayReport>();
  const silent: string[] = [];
  const waiting = new Map<string, number>();
  const ages: number[] = [];
  let messages = 0;
  for (const { name, answer } of pods) {
    if (answer.kind === "silent") {
      silent.push(name);
      continue;
    }
    const { report } = answer;
    reports.set(name, report);
    messages += report.queue.messages;
    if (report.queue.oldestSeconds !== null) ages.push(report.queue.oldestSeconds);
    for (const { provider, recipients } of report.queue.providers) {
      waiting.set(provider, (waiting.get(provider) ?? 0) + recipients);
    }
  }
  const entries = [...reports];
  return {
    reports,
    silent,
    messages,
    oldestSeconds: ages.length === 0 ? null : Math.max(...ages),
    waiting,
    restraints: entries.flatMap(([pod, report]) => report.restraints.map((one) => ({ ...one, pod }))),
    failedSpools: entries.flatMap(([pod, { spool }]) =>
      spool.state === "Failed" ? [{ pod, reason: spool.reason }] : [],
    ),
  };
}
