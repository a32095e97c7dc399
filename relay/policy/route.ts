/**
 * Which route a recipient domain takes: the first that matches, in the order of the configuration.
 * Patterns are indexed once a configuration, since there may be many and every message asks.
 */
import type { Route } from "../contract/config.ts";

/** The route of a domain, or null when none matches (a configuration without a last, general route). */
export type Router = (domain: string) => Route | null;

/** "example.com" matches itself, "*.example.com" its subdomains but not itself; case does not matter. */
export function compileRoutes(routes: readonly Route[]): Router {
  const exact = new Map<string, number>();
  const below = new Map<string, number>();
  let general = Number.POSITIVE_INFINITY;
  const note = (index: Map<string, number>, key: string, position: number) => {
    if (!index.has(key)) index.set(key, position);
  };
  routes.forEach((route, position) => {
    if (route.recipientDomains.length === 0) general = Math.min(general, position);
    for (const pattern of route.recipientDomains) {
      const wanted = pattern.toLowerCase();
      if (wanted.startsWith("*.")) note(below, wanted.slice(2), position);
      else note(exact, wanted, position);
    }
  });
  return (domain) => {
    const given = domain.toLowerCase();
    let first = Math.min(exact.get(given) ?? Number.POSITIVE_INFINITY, general);
    for (let dot = given.indexOf("."); dot >= 0; dot = given.indexOf(".", dot + 1)) {
      first = Math.min(first, below.get(given.slice(dot + 1)) ?? Number.POSITIVE_INFINITY);
    }
    return routes[first] ?? null;
  };
}
