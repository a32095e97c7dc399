/** Does mail leave as it should, and if not, what holds most of it? The condition QueueHealthy. */
import type { Aggregate } from "./aggregateReports.ts";
import { countText, roundCount } from "./figures.ts";
import type { Finding } from "./setCondition.ts";

type QueueFinding = Finding<"SmtpRelay">;

/** Part of what waits that one provider must hold back for the whole queue to be called unhealthy. */
const MATTERS = 0.1;

export function queueFinding(aggregate: Aggregate, paused: boolean): QueueFinding {
  const type = "QueueHealthy";
  const unhealthy = (reason: QueueFinding["reason"], message: string): QueueFinding => ({
    type,
    status: "False",
    reason,
    message,
  });
  if (aggregate.reports.size === 0) {
    return aggregate.silent.length > 0
      ? {
          type,
          status: "Unknown",
          reason: "ReportsMissing",
          message: "No pod answered when asked for its queue.",
        }
      : { type, status: "Unknown", reason: "QueueUnknown", message: "No pod has reported its queue yet." };
  }
  const [spool] = aggregate.failedSpools;
  if (spool !== undefined) {
    return unhealthy(
      "SpoolFailed",
      `${spool.pod} cannot write its spool: ${spool.reason}; it answers submissions with 4xx.`,
    );
  }
  if (paused && aggregate.messages > 0) {
    return unhealthy("Paused", "spec.paused is set: what is taken waits.");
  }
  const backoff = worst(aggregate, "Backoff");
  if (backoff !== null) {
    return unhealthy("ProviderBackoff", `${backoff.share}: ${backoff.text}.`);
  }
  const allowance = worst(aggregate, "Allowance");
  if (allowance !== null) {
    return unhealthy("AllowanceUsed", `${allowance.share} for the next UTC day: ${allowance.text}.`);
  }
  return { type, status: "True", reason: "QueueFlowing", message: "Mail leaves without unusual delay." };
}

/** The restraint of this kind that holds most recipients, when it holds enough to matter. */
function worst(
  { restraints, waiting }: Aggregate,
  kind: "Backoff" | "Allowance",
): { readonly share: string; readonly text: string } | null {
  const total = [...waiting.values()].reduce((sum, count) => sum + count, 0);
  const held = restraints
    .filter((restraint) => restraint.kind === kind)
    .map((restraint) => ({ restraint, count: heldBy(restraint.provider, waiting, total) }))
    .toSorted((a, b) => b.count - a.count || (a.restraint.reason < b.restraint.reason ? -1 : 1))[0];
  if (held === undefined || held.count === 0 || held.count < total * MATTERS) return null;
  const { reason, since, until, source, provider } = held.restraint;
  const where = source === null ? "" : ` on ${source}`;
  const end = until === null ? "" : `, until ${time(until)}`;
  return {
    share: `${provider === "total" ? "all providers hold" : `${provider} holds`} ${countText(roundCount(held.count))} of ${countText(roundCount(total))} recipients`,
    text: `${reason} since ${time(since)}${where}${end}`,
  };
}

/** An allowance in `total` binds every provider. */
function heldBy(provider: string, waiting: ReadonlyMap<string, number>, total: number): number {
  return provider === "total" ? total : (waiting.get(provider) ?? 0);
}

/** "14:02" UTC, with the day only where it is needed by the reader: messages are read on their day. */
function time(instant: string): string {
  return `${instant.slice(11, 16)} UTC`;
}
