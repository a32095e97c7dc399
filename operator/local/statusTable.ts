/**
 * The table of local mode: a row for each object, READY as its condition says, DETAIL in a few words; of
 * what is not ready, the reason instead. Pure.
 */
import type { IpPool, SendingDomain, SmtpRelay } from "../../crds/kinds.ts";
import { renderTable } from "../../relay/kit/table.ts";
import { DEFAULT_NAMESPACE } from "./objectKey.ts";

export type Shown = SmtpRelay | SendingDomain | IpPool;

export interface StatusRow {
  readonly kind: string;
  readonly name: string;
  readonly ready: string;
  readonly detail: string;
  /** Milliseconds since the epoch. */
  readonly createdAt: number;
}

const order = ["SmtpRelay", "SendingDomain", "IpPool"];
const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

export function statusRows(objects: readonly Shown[]): StatusRow[] {
  return objects
    .toSorted(
      (a, b) =>
        order.indexOf(a.kind) - order.indexOf(b.kind) || a.metadata.name.localeCompare(b.metadata.name),
    )
    .map((object) => {
      const { name, namespace, creationTimestamp } = object.metadata;
      const ready = object.status?.conditions?.find(({ type }) => type === "Ready");
      return {
        kind: object.kind,
        name: namespace === DEFAULT_NAMESPACE ? name : `${namespace}/${name}`,
        ready: ready?.status ?? "Unknown",
        detail: ready?.status === "True" ? detailOf(object) : (ready?.message ?? "not looked at yet"),
        createdAt: Date.parse(creationTimestamp),
      };
    });
}

/** `width` null: piped, nothing is cut. */
export function statusTable(rows: readonly StatusRow[], now: number, width: number | null): string[] {
  return renderTable({
    columns: [
      { header: "KIND" },
      { header: "NAME", shrinkTo: 12 },
      { header: "READY" },
      { header: "DETAIL", shrinkTo: 20 },
      { header: "AGE" },
    ],
    rows: rows.map((row) => [row.kind, row.name, row.ready, row.detail, ageText(now - row.createdAt)]),
    width,
  });
}

/** As kubectl writes ages: 14s, 12m, 5h, 9d. */
export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 120) return `${seconds}s`;
  if (seconds < 2 * 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86_400)}d`;
}

function detailOf(object: Shown): string {
  switch (object.kind) {
    case "SmtpRelay": {
      const { ready, queue } = object.status ?? {};
      const oldest = queue?.oldest ?? "";
      return `${ready ?? "0"} replicas · queued ${queue?.messages ?? 0} · oldest ${oldest === "" ? "–" : oldest}`;
    }
    case "SendingDomain": {
      const { selectors, dns, nextRotation } = object.status ?? {};
      const keys = selectors === undefined || selectors === "" ? "no DKIM key yet" : `DKIM ${selectors}`;
      const aligned = dns === "Verified" ? "aligned" : `DNS ${(dns ?? "Unchecked").toLowerCase()}`;
      return [
        keys,
        aligned,
        ...(nextRotation === undefined ? [] : [`next rotation ${dayText(nextRotation)}`]),
      ].join(" · ");
    }
    case "IpPool": {
      const { addresses = [], warming, today } = object.status ?? {};
      const count = `${addresses.length} ${addresses.length === 1 ? "address" : "addresses"}`;
      const ramp = warming === undefined || warming === "warm" ? "warm" : `warming ${warming}`;
      return [count, ramp, ...(today === undefined ? [] : [`${today} used today`])].join(" · ");
    }
  }
}

/** "2027-05-22" → "22 May". */
function dayText(day: string): string {
  const [, month, date] = day.split("-").map(Number);
  return `${date} ${months[(month ?? 1) - 1]}`;
}
