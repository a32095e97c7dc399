import { expect, test } from "vitest";

import { PriorityTurns, type Standing, Turns } from "./turns.ts";

/** Serves everyone in turn. */
function serve(turns: PriorityTurns<string>, standings: ReadonlyMap<string, Standing>): string[] {
  const served: string[] = [];
  for (let { turn } = turns; turn !== undefined; { turn } = turns) {
    served.push(turn.item);
    turns.took(turn);
    const standing = standings.get(turn.item);
    if (standing !== undefined) turns.delete(standing, turn.item);
  }
  return served;
}

function filled(...lanes: readonly (readonly [number, string, string, ...string[]])[]) {
  const turns = new PriorityTurns<string>();
  const standings = new Map<string, Standing>();
  for (const [rank, tenant, lane, ...items] of lanes) {
    for (const item of items) {
      turns.add({ rank, tenant, lane }, item);
      standings.set(item, { rank, tenant, lane });
    }
  }
  return { turns, standings };
}

test("tenants take turns, within a tenant its lanes, within a lane first come, first served", () => {
  const { turns, standings } = filled(
    [1, "big", "x", "x1", "x2", "x3", "x4"],
    [1, "big", "y", "y1"],
    [1, "small", "x", "s1", "s2"],
  );

  expect(turns.size).toBe(7);
  expect(serve(turns, standings)).toEqual(["x1", "s1", "y1", "s2", "x2", "x3", "x4"]);
  expect([turns.size, turns.turn, turns.top]).toEqual([0, undefined, null]);
});

test("priorities have their parts", () => {
  const { turns, standings } = filled(
    [2, "shop", "x", ...Array.from({ length: 10 }, (_, index) => `low${index}`)],
    [0, "shop", "x", "h1", "h2", "h3"],
    [0, "crm", "x", "c1"],
  );
  expect(turns.top).toBe(0);
  expect([...turns.tenants(0)]).toEqual(["shop", "crm"]);

  const served = serve(turns, standings);

  expect(served.slice(0, 6)).toEqual(["h1", "low0", "c1", "h2", "h3", "low1"]);
  expect(served).toHaveLength(14);
});

test("a tenant served out of turn stands behind the others", () => {
  const { turns, standings } = filled([1, "a", "x", "a1", "a2"], [1, "b", "x", "b1"], [1, "c", "x", "c1"]);

  expect(turns.turnOf(1, "b")?.item).toBe("b1");
  expect(turns.turnOf(0, "b")).toBeUndefined();
  turns.took({ rank: 1, tenant: "a" });

  expect(serve(turns, standings)).toEqual(["b1", "c1", "a1", "a2"]);
});

test("what is taken out elsewhere is not served, and emptied lanes are gone", () => {
  const turns = new Turns<string>();
  turns.add("a", "x", "one");
  turns.add("b", "x", "two");
  turns.delete("a", "x", "one");
  turns.delete("a", "x", "one");
  expect([...turns]).toEqual(["two"]);
  expect([turns.size, turns.tenant, turns.first("b"), turns.first("a")]).toEqual([1, "b", "two", undefined]);
  turns.took("b");
  turns.took("a");
  expect([...turns.tenants()]).toEqual(["b"]);
});
