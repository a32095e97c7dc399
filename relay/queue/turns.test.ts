import { expect, test } from "vitest";

import { PriorityTurns, type Standing, Turns } from "./turns.ts";

/** Serves everyone in turn. */
function serve(turns: Turns<string>, lanes: ReadonlyMap<string, readonly [string, string]>): string[] {
  const served: string[] = [];
  for (let item = turns.peek(); item !== undefined; item = turns.peek()) {
    served.push(item);
    turns.rotate();
    const [tenant, domain] = lanes.get(item) ?? ["", ""];
    turns.delete(tenant, domain, item);
  }
  return served;
}

test("tenants take turns, within a tenant its domains, within a domain first come, first served", () => {
  const turns = new Turns<string>();
  const lanes = new Map<string, readonly [string, string]>();
  const add = (tenant: string, domain: string, ...items: string[]) => {
    for (const item of items) {
      turns.add(tenant, domain, item);
      lanes.set(item, [tenant, domain]);
    }
  };
  add("big", "x", "x1", "x2", "x3", "x4");
  add("big", "y", "y1");
  add("small", "x", "s1", "s2");

  expect(turns.size).toBe(7);
  expect(serve(turns, lanes)).toEqual(["x1", "s1", "y1", "s2", "x2", "x3", "x4"]);
  expect(turns.size).toBe(0);
});

test("what is taken out elsewhere is not served, and emptied lanes are gone", () => {
  const turns = new Turns<string>();
  turns.add("a", "x", "one");
  turns.add("b", "x", "two");
  turns.delete("a", "x", "one");
  turns.delete("a", "x", "one");
  expect([...turns]).toEqual(["two"]);
  expect(turns.peek()).toBe("two");
  turns.rotate();
  expect(turns.peek()).toBe("two");
});

test("priorities have their parts, and within one tenants and lanes take turns", () => {
  const turns = new PriorityTurns<string>();
  const standings = new Map<string, Standing>();
  const add = (rank: number, tenant: string, lane: string, ...items: string[]) => {
    for (const item of items) {
      const standing = { rank, tenant, lane };
      turns.add(standing, item);
      standings.set(item, standing);
    }
  };
  add(2, "shop", "x", ...Array.from({ length: 10 }, (_, index) => `low${index}`));
  add(0, "shop", "x", "h1", "h2", "h3");
  add(0, "crm", "x", "c1");
  expect(turns.top).toBe(0);
  expect([...turns.tenants(0)]).toEqual(["shop", "crm"]);

  const served: string[] = [];
  for (let item = turns.peek(); item !== undefined; item = turns.peek()) {
    served.push(item);
    turns.rotate();
    const standing = standings.get(item);
    if (standing !== undefined) turns.delete(standing, item);
  }

  expect(served.slice(0, 6)).toEqual(["h1", "low0", "c1", "h2", "h3", "low1"]);
  expect(served).toHaveLength(14);
  expect([turns.size, turns.top]).toEqual([0, null]);
});
