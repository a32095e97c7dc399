/** What operators wrote, read off the audit log: as a table, and whether anything was written twice. */
import type { AuditEvent } from "./audit.ts";

export interface Write {
  /** "patch secrets mail/mail-runtime", "patch smtprelays/status mail/mail". */
  readonly what: string;
  /** The object and subresource alone. */
  readonly object: string;
  /** Who, by the address it came from. */
  readonly from: string;
  readonly sent: string;
  readonly code: number;
  /** Of the day, with microseconds. */
  readonly at: string;
}

/** Leases and Events tell of the operator, not of the state: they are left out. */
export function writesOf(events: readonly AuditEvent[], users: readonly string[]): Write[] {
  return events
    .filter(({ user, objectRef }) => {
      const kind = objectRef?.resource;
      return users.includes(user.username) && kind !== "leases" && kind !== "events";
    })
    .map((event) => {
      const { resource = "", subresource, namespace = "", name = "" } = event.objectRef ?? {};
      const object = `${resource}${subresource === undefined ? "" : `/${subresource}`} ${namespace}/${name}`;
      return {
        what: `${event.verb} ${object}`,
        object,
        from: event.sourceIPs?.[0] ?? "",
        sent: JSON.stringify(event.requestObject ?? null),
        code: event.responseStatus?.code ?? 0,
        at: event.requestReceivedTimestamp,
      };
    })
    .toSorted((a, b) => (a.at < b.at ? -1 : 1));
}

/** Writes that were carried out and say what the last one on the same object had said already. */
export function repeated(writes: readonly Write[]): Write[] {
  const last = new Map<string, string>();
  return writes.filter(({ object, sent, code }) => {
    if (code < 200 || code >= 300) return false;
    const same = last.get(object) === sent;
    last.set(object, sent);
    return same;
  });
}

/** How often the writer changed, from one write to the next. */
export function handovers(writes: readonly Write[]): number {
  return writes.filter(({ from }, index) => index > 0 && writes[index - 1]?.from !== from).length;
}

/** "  12  patch secrets mail/mail-runtime", most first. */
export function tableOfWrites(lines: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const line of lines) counts.set(line, (counts.get(line) ?? 0) + 1);
  return [...counts]
    .toSorted(([, a], [, b]) => b - a)
    .map(([line, count]) => `${String(count).padStart(5)}  ${line}`)
    .join("\n");
}
