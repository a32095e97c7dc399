/**
 * Order of resource versions. The API calls them opaque, but promises since 1.35 (KEP-5504), and kept
 * before, that they are decimal numbers that grow; they may outgrow what a double counts exactly.
 */

/** Whether `seen` is `wanted` or later. Versions that are no numbers are only ever equal. */
export function reached(seen: string, wanted: string): boolean {
  if (seen === wanted) return true;
  if (!isNumber(seen) || !isNumber(wanted)) return false;
  return seen.length === wanted.length ? seen > wanted : seen.length > wanted.length;
}

function isNumber(version: string): boolean {
  return /^[1-9][0-9]*$/.test(version);
}
