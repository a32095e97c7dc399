/** Kubernetes' MicroTime: RFC 3339 in UTC with exactly six digits of a second; other forms are refused. */

/** `instant`: milliseconds since the Unix epoch. */
export function microTime(instant: number): string {
  return new Date(instant).toISOString().replace(/Z$/, "000Z");
}
