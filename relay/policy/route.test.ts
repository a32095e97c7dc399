import { expect, test } from "vitest";

import type { Route } from "../contract/config.ts";
import { compileRoutes } from "./route.ts";

const route = (name: string, ...recipientDomains: string[]): Route => ({
  name,
  recipientDomains,
  to: { kind: "pool", pool: "default" },
});

test.each([
  ["partner.example", "partner", "exact"],
  ["PARTNER.example", "partner", "case does not matter"],
  ["eu.partner.example", "subdomains", "the wildcard covers subdomains"],
  ["a.b.partner.example", "subdomains", "of any depth"],
  ["notpartner.example", "rest", "a suffix is not a subdomain"],
  ["vip.partner.example", "first", "an earlier rule wins over a wildcard"],
  ["example", "rest", "a parent is not matched"],
  ["[192.0.2.1]", "rest", "an address literal takes the general route"],
])("%s takes route %s: %s", (domain, expected) => {
  const routeOf = compileRoutes([
    route("first", "vip.partner.example"),
    route("partner", "partner.example"),
    route("subdomains", "*.partner.example"),
    route("rest"),
    route("never", "partner.example"),
  ]);
  expect(routeOf(domain)?.name).toBe(expected);
});

test("the general route hides what stands behind it; without one a domain may match nothing", () => {
  expect(compileRoutes([route("all"), route("partner", "partner.example")])("partner.example")?.name).toBe(
    "all",
  );
  expect(compileRoutes([route("partner", "partner.example")])("else.example")).toBeNull();
  expect(compileRoutes([])("else.example")).toBeNull();
});
