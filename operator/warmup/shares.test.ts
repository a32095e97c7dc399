/**
 * Promise 4 as a property: pods that apply configurations late, stay silent, lose volumes, come and go over
 * days never send more together than the cap. The relay's side is played by its rules (relay/contract).
 */
import * as fc from "fast-check";
import { expect, test } from "vitest";

import { assignAddresses } from "../plan/assignAddresses.ts";
import { addDays, dayStart, daysBetween, timestampOf, utcDay } from "./days.ts";
import { allowanceRows, type DayCap, DAYS_AHEAD, permilleOf, permilleOfRows } from "./rows.ts";
import { NEVER_SEEN, nextShares, permilleOfPod, type PodHolding, type Share } from "./shares.ts";
import type { AllowanceRow } from "../../relay/contract/config.ts";

const FIRST_DAY = "2026-11-23";
const ADDRESS = "a";

function capOfDay(day: string): DayCap {
  const total = 100 * (1 + Math.max(0, daysBetween(FIRST_DAY, day)));
  return { day, total, providers: { google: Math.floor(total * 0.4) } };
}

interface Config {
  readonly serial: number;
  readonly pods: ReadonlyMap<string, { rows: readonly AllowanceRow[]; usageSince: string }>;
}

class Pod {
  alive = true;
  silent = false;
  applied: Config | null = null;
  waiting: Config[] = [];
  spool = { since: 0, used: new Map<string, number>() };
}

type Step =
  | { kind: "scale"; replicas: number }
  | { kind: "poolPass" }
  | { kind: "relayPass" }
  | { kind: "podsFollow" }
  | { kind: "operate"; late: readonly number[] }
  | { kind: "mountFollows"; pod: number }
  | { kind: "spend"; pod: number; amount: number; provider: "google" | "other" }
  | { kind: "release"; pod: number; amount: number }
  | { kind: "silence"; pod: number }
  | { kind: "loseVolume"; pod: number }
  | { kind: "wait"; hours: number };

/** One address, one relay, up to five pods, and the operator's two passes in turns. */
class Play {
  now = dayStart(FIRST_DAY) + 12 * 3_600_000;
  replicas = 1;
  shares: readonly Share[] = [];
  published: Config = { serial: 0, pods: new Map() };
  readonly pods = new Map<string, Pod>();
  /** What really left, by "day|provider", whatever any volume remembers. */
  readonly sent = new Map<string, number>();

  get today() {
    return utcDay(this.now);
  }

  get caps(): readonly DayCap[] {
    return Array.from({ length: DAYS_AHEAD + 1 }, (_, ahead) => capOfDay(addDays(this.today, ahead)));
  }

  key(ordinal: number) {
    return `default/mail-${ordinal}`;
  }

  wanted(): ReadonlyMap<string, number> {
    const keys = Array.from({ length: this.replicas }, (_, ordinal) => this.key(ordinal));
    return assignAddresses([ADDRESS], keys).get(ADDRESS) ?? new Map();
  }

  do(step: Step): void {
    // A clock never stands still between two events.
    this.now += 1000;
    switch (step.kind) {
      case "scale":
        this.replicas = step.replicas;
        return;
      case "poolPass":
        this.shares = nextShares(this.shares, this.holdings(), this.now);
        return;
      case "relayPass":
        return this.publish();
      case "podsFollow":
        return this.podsFollow();
      case "operate":
        this.do({ kind: "podsFollow" });
        this.do({ kind: "poolPass" });
        this.do({ kind: "relayPass" });
        for (let pod = 0; pod < 5; pod++) {
          const waiting = step.late.includes(pod) ? 0 : (this.at(pod)?.waiting.length ?? 0);
          for (let left = waiting; left > 0; left--) this.do({ kind: "mountFollows", pod });
        }
        return;
      case "mountFollows": {
        const pod = this.at(step.pod);
        const next = pod?.waiting.shift();
        if (pod !== undefined && next !== undefined) pod.applied = next;
        return;
      }
      case "spend":
        return this.spend(step.pod, step.amount, step.provider);
      case "release": {
        // In-flight recipients that were refused give their units back.
        const pod = this.at(step.pod);
        const held = pod?.spool.used.get(`${this.today}|total`) ?? 0;
        const amount = Math.min(step.amount, held - (pod?.spool.used.get(`${this.today}|google`) ?? 0));
        if (pod === undefined || amount <= 0) return;
        this.count(pod.spool.used, "total", -amount);
        this.count(this.sent, "total", -amount);
        return;
      }
      case "silence": {
        const pod = this.at(step.pod);
        if (pod !== undefined) pod.silent = !pod.silent;
        return;
      }
      case "loseVolume": {
        const pod = this.at(step.pod);
        if (pod !== undefined) pod.spool = { since: this.now, used: new Map() };
        return;
      }
      case "wait":
        this.now += step.hours * 3_600_000;
        return;
    }
  }

  at(ordinal: number): Pod | undefined {
    const pod = this.pods.get(this.key(ordinal));
    return pod?.alive === true ? pod : undefined;
  }

  holdings(): PodHolding[] {
    const wanted = this.wanted();
    const keys = new Set([...this.pods.keys(), ...wanted.keys()]);
    return [...keys].map((pod) => {
      const it = this.pods.get(pod);
      const answers = it !== undefined && it.alive && !it.silent;
      const entry = this.published.pods.get(pod);
      return {
        pod,
        wanted: wanted.get(pod) ?? 0,
        published: entry === undefined ? 0 : permilleOfRows(entry.rows, this.caps, this.today),
        confirmed: answers && it.applied?.serial === this.published.serial,
        exists: it?.alive === true,
        usedPermille: answers ? this.usedPermille(it) : null,
        spoolSince: answers ? timestampOf(it.spool.since) : null,
      };
    });
  }

  usedPermille(pod: Pod): number {
    const cap = capOfDay(this.today);
    const used = (provider: string) => pod.spool.used.get(`${this.today}|${provider}`) ?? 0;
    return Math.max(
      permilleOf(used("total"), cap.total),
      permilleOf(used("google"), cap.providers["google"] ?? 0),
    );
  }

  publish(): void {
    const pods = new Map(
      [...this.wanted()].map(([pod, wanted]) => [
        pod,
        {
          rows: allowanceRows(this.caps, Math.min(wanted, permilleOfPod(this.shares, pod))),
          usageSince: this.shares.find((share) => share.pod === pod)?.spoolSince ?? NEVER_SEEN,
        },
      ]),
    );
    this.published = { serial: this.published.serial + 1, pods };
    for (const pod of this.pods.values()) if (pod.alive) pod.waiting.push(this.published);
  }

  /** The StatefulSet: starts what is wanted with its old volume if there is one, ends the rest. */
  podsFollow(): void {
    for (let ordinal = 0; ordinal < 5; ordinal++) {
      const key = this.key(ordinal);
      const pod = this.pods.get(key);
      if (ordinal >= this.replicas) {
        if (pod !== undefined) pod.alive = false;
      } else if (pod?.alive !== true) {
        const started = new Pod();
        started.spool = pod?.spool ?? { since: this.now, used: new Map() };
        started.applied = this.published;
        this.pods.set(key, started);
      }
    }
  }

  /** As the relay does: the row in force, less what its spool knows, and nothing on a new spool's first day. */
  spend(ordinal: number, amount: number, provider: "google" | "other"): void {
    const pod = this.at(ordinal);
    const entry = pod?.applied?.pods.get(this.key(ordinal));
    const row = entry?.rows.findLast(({ day }) => day <= this.today);
    if (pod === undefined || entry === undefined || row === undefined) return;
    const since = Math.floor(pod.spool.since / 1000) * 1000;
    if (since > Date.parse(entry.usageSince) && utcDay(since) === this.today) return;
    const left = (name: string, limit: number) => limit - (pod.spool.used.get(`${this.today}|${name}`) ?? 0);
    const free = Math.min(
      left("total", row.total ?? 0),
      provider === "google" ? left("google", row.providers["google"] ?? 0) : Infinity,
    );
    const units = Math.max(0, Math.min(amount, free));
    for (const name of provider === "google" ? ["total", "google"] : ["total"]) {
      this.count(pod.spool.used, name, units);
      this.count(this.sent, name, units);
    }
  }

  count(counts: Map<string, number>, name: string, units: number): void {
    const key = `${this.today}|${name}`;
    counts.set(key, (counts.get(key) ?? 0) + units);
  }

  /** What breaks the promise now; empty when it holds. */
  violations(): string[] {
    const given = this.shares.reduce((sum, share) => sum + share.permille, 0);
    const over = [...this.sent].flatMap(([key, sent]) => {
      const [day = "", name] = key.split("|");
      const cap = capOfDay(day);
      const limit = name === "total" ? cap.total : (cap.providers["google"] ?? 0);
      return sent > limit ? [`${sent} of ${limit} sent on ${key}`] : [];
    });
    return given > 1000 ? [`parts sum to ${given}`, ...over] : over;
  }
}

const ordinal = fc.integer({ min: 0, max: 2 });
const steps: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant("scale" as const), replicas: fc.integer({ min: 0, max: 3 }) }),
  },
  // A calm operator: every part runs, and all pods but some follow.
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("operate" as const),
      late: fc.uniqueArray(ordinal, { maxLength: 2 }),
    }),
  },
  { weight: 2, arbitrary: fc.constant({ kind: "poolPass" } as const) },
  { weight: 2, arbitrary: fc.constant({ kind: "relayPass" } as const) },
  { weight: 1, arbitrary: fc.constant({ kind: "podsFollow" } as const) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("mountFollows" as const), pod: ordinal }) },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("spend" as const),
      pod: ordinal,
      amount: fc.constantFrom(5, 30, 1000, 1000),
      provider: fc.constantFrom("google" as const, "other" as const),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("release" as const),
      pod: ordinal,
      amount: fc.integer({ min: 1, max: 50 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("silence" as const), pod: ordinal }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("loseVolume" as const), pod: ordinal }) },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant("wait" as const), hours: fc.constantFrom(1, 12, 24) }),
  },
);

test("what pods send together never exceeds the cap of a day", { timeout: 120_000 }, () => {
  fc.assert(
    fc.property(fc.array(steps, { minLength: 10, maxLength: 60, size: "max" }), (script) => {
      const play = new Play();
      for (const step of script) {
        play.do(step);
        expect(play.violations()).toEqual([]);
      }
    }),
    { numRuns: 800 },
  );
});

/** Runs the passes and lets every pod follow, until nothing moves. */
function settle(play: Play): void {
  for (let round = 0; round < 8; round++) play.do({ kind: "operate", late: [] });
}
const parts = (play: Play) => Object.fromEntries(play.shares.map((share) => [share.pod, share.permille]));

test("pods that follow get the parts they should have, and scaling moves them", () => {
  const play = new Play();
  settle(play);
  expect(parts(play)).toEqual({ "default/mail-0": 1000 });

  play.do({ kind: "scale", replicas: 3 });
  settle(play);
  expect(parts(play)).toEqual({ "default/mail-0": 334, "default/mail-1": 333, "default/mail-2": 333 });
});

test("a pod that used more than its new part keeps what it used until the day is over", () => {
  const play = new Play();
  settle(play);
  play.do({ kind: "spend", pod: 0, amount: 80, provider: "other" });
  play.do({ kind: "scale", replicas: 2 });
  settle(play);
  expect(parts(play)).toEqual({ "default/mail-0": 800, "default/mail-1": 200 });

  play.do({ kind: "wait", hours: 24 });
  settle(play);
  expect(parts(play)).toEqual({ "default/mail-0": 500, "default/mail-1": 500 });
});

test("a silent pod keeps its part, days long", () => {
  const play = new Play();
  play.do({ kind: "scale", replicas: 2 });
  settle(play);
  play.do({ kind: "silence", pod: 1 });
  play.do({ kind: "scale", replicas: 3 });
  for (let day = 0; day < 9; day++) {
    play.do({ kind: "wait", hours: 24 });
    settle(play);
  }

  expect(parts(play)).toEqual({ "default/mail-0": 334, "default/mail-1": 500, "default/mail-2": 166 });
});

test("the part of a pod that left is free on the next UTC day", () => {
  const play = new Play();
  play.do({ kind: "scale", replicas: 2 });
  settle(play);
  play.do({ kind: "scale", replicas: 1 });
  settle(play);
  expect(parts(play)).toEqual({ "default/mail-0": 500, "default/mail-1": 500 });

  play.do({ kind: "wait", hours: 12 });
  settle(play);
  expect(parts(play)).toEqual({ "default/mail-0": 1000 });
});

test("the part of a pod whose relay is gone waits a whole day more", () => {
  const share: Share = { pod: "default/mail-0", permille: 1000 };
  const noon = dayStart("2026-11-23") + 43_200_000;
  const after = (days: number) => nextShares(nextShares([share], [], noon), [], noon + days * 86_400_000);

  expect(after(0)).toEqual([{ ...share, goneOn: "2026-11-23" }]);
  expect(after(1)).toEqual([{ ...share, goneOn: "2026-11-23" }]);
  expect(after(2)).toEqual([]);
});

test("a lost volume spends nothing for the rest of its first day, and all of its part on the next", () => {
  const play = new Play();
  settle(play);
  play.do({ kind: "spend", pod: 0, amount: 60, provider: "other" });
  play.do({ kind: "loseVolume", pod: 0 });
  settle(play);
  play.do({ kind: "spend", pod: 0, amount: 60, provider: "other" });
  expect(play.sent.get("2026-11-23|total")).toBe(60);

  play.do({ kind: "wait", hours: 12 });
  play.do({ kind: "spend", pod: 0, amount: 500, provider: "other" });
  expect(play.sent.get("2026-11-24|total")).toBe(200);
});

test("a settled ledger stays as it is", () => {
  const play = new Play();
  play.do({ kind: "scale", replicas: 3 });
  settle(play);
  const before = play.shares;
  play.do({ kind: "poolPass" });

  expect(play.shares).toEqual(before);
});
