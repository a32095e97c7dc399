/** Times, spans and sizes as a person reads them. Pure: now and the time zone come from the caller. */

export interface Calendar {
  /** Milliseconds since the Unix epoch. */
  readonly now: number;
  /** IANA name; the system's in the command, UTC in tests. */
  readonly timeZone: string;
}

/** "14:12" within a day of now, else "28 Nov 14:12". */
export function timeOf(instant: string, calendar: Calendar): string {
  const at = Date.parse(instant);
  const near = Math.abs(at - calendar.now) < 20 * 3_600_000;
  return near ? clock(at, calendar, false) : dated(at, calendar);
}

/** "14:12:07", with the date unless it is near. */
export function preciseTimeOf(instant: string, calendar: Calendar): string {
  const at = Date.parse(instant);
  const near = Math.abs(at - calendar.now) < 20 * 3_600_000;
  return near ? clock(at, calendar, true) : dated(at, calendar);
}

/** "now" when it is due, else the time. */
export function nextTryOf(instant: string, calendar: Calendar): string {
  return Date.parse(instant) <= calendar.now ? "now" : timeOf(instant, calendar);
}

/** "38s", "12m", "3h 20m", "2d 4h". */
export function spanOf(seconds: number): string {
  if (seconds < 60) return `${Math.max(0, Math.floor(seconds))}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return minutes % 60 === 0 ? `${hours}h` : `${hours}h ${minutes % 60}m`;
  const days = Math.floor(hours / 24);
  return hours % 24 === 0 ? `${days}d` : `${days}d ${hours % 24}h`;
}

/** "812 bytes", "18 KiB", "2.4 MiB". */
export function sizeOf(bytes: number): string {
  if (bytes < 1024) return `${bytes} bytes`;
  const kib = bytes / 1024;
  if (kib < 1024) return `${kib < 10 ? kib.toFixed(1).replace(/\.0$/, "") : Math.round(kib)} KiB`;
  return `${(kib / 1024).toFixed(1).replace(/\.0$/, "")} MiB`;
}

/** "1 recipient", "3 recipients". */
export function countOf(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** "a, b and c"; of many the first three and how many more. */
export function listOf(items: readonly string[], most = 3): string {
  if (items.length > most) return `${items.slice(0, most).join(", ")} and ${items.length - most} more`;
  if (items.length < 2) return items.join("");
  return `${items.slice(0, -1).join(", ")} and ${items.at(-1)}`;
}

function clock(at: number, { timeZone }: Calendar, withSeconds: boolean): string {
  return new Intl.DateTimeFormat("en-GB", {
    timeZone,
    hour: "2-digit",
    minute: "2-digit",
    ...(withSeconds ? { second: "2-digit" } : {}),
  }).format(at);
}

function dated(at: number, calendar: Calendar): string {
  const day = new Intl.DateTimeFormat("en-GB", {
    timeZone: calendar.timeZone,
    day: "numeric",
    month: "short",
  });
  return `${day.format(at)} ${clock(at, calendar, false)}`;
}
