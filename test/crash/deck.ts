/**
 * Which end the next life gets: half of them at named points, the least hit first, half at an instant drawn
 * while the relay starts or works. Shared by all lanes of a run, which is what makes every point come up.
 */
import type { Random } from "../../relay/kit/random.ts";
import { type Point, points, type PointUse } from "./points/table.ts";
import type { Aim } from "./targets.ts";

export type End =
  | { readonly kind: "point"; readonly aim: Aim }
  /** So long after the process was begun. */
  | { readonly kind: "starting"; readonly afterMs: number }
  /** So many answered messages after the first greeting, and a moment. */
  | { readonly kind: "working"; readonly afterMessages: number; readonly afterMs: number };

/** About what a start takes; later draws fall into the first work. */
const START_MS = 400;
/** Counted, not timed: a busy machine makes lives longer, not emptier. */
const MOST_MESSAGES = 60;
const MOMENT_MS = 4;

export class Deck {
  readonly hits = new Map<Point, number>();
  readonly #uses: readonly PointUse[];
  readonly #random: Random;
  readonly #tries = new Map<Point, number>();

  readonly #onlyPoints: boolean;

  constructor(random: Random, hasPoints: boolean, only: readonly string[] = []) {
    this.#random = random;
    this.#uses = hasPoints ? points.filter(({ point }) => only.length === 0 || only.includes(point)) : [];
    this.#onlyPoints = only.length > 0;
    for (const { point } of this.#uses) this.hits.set(point, 0);
  }

  next(isFirstLife: boolean): End {
    const { draw } = this.#random;
    const births = this.#uses.filter(({ firstLife }) => firstLife === true);
    const others = this.#uses.filter(({ firstLife }) => firstLife !== true);
    // A folder is new only once: what can be hit there comes first.
    const isBirth = isFirstLife && births.some(({ point }) => this.hits.get(point) === 0);
    const uses = isBirth ? births : isFirstLife ? this.#uses : others;
    if (uses.length > 0 && (this.#onlyPoints || isBirth || draw() < 0.5)) {
      // Hits decide, tries part those that are equal: a point that is hard to hit does not hold up the others.
      const weight = ({ point }: PointUse) =>
        4 * (this.hits.get(point) ?? 0) + (this.#tries.get(point) ?? 0) + draw();
      const use = uses.map((use) => [weight(use), use] as const).sort(([a], [b]) => a - b)[0]?.[1];
      if (use !== undefined) {
        this.#tries.set(use.point, (this.#tries.get(use.point) ?? 0) + 1);
        return { kind: "point", aim: { use, nth: 1 + Math.floor(draw() * use.among) } };
      }
    }
    return draw() < 0.2
      ? { kind: "starting", afterMs: draw() * START_MS }
      : {
          kind: "working",
          afterMessages: Math.floor(draw() ** 2 * MOST_MESSAGES),
          afterMs: draw() * MOMENT_MS,
        };
  }

  hit(point: Point): void {
    this.hits.set(point, (this.hits.get(point) ?? 0) + 1);
  }

  missed(): Point[] {
    return [...this.hits].filter(([, count]) => count === 0).map(([point]) => point);
  }
}
