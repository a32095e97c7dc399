/** Repeatable chance for tests: mulberry32, the seed is printed by whoever uses it. */
import type { Random } from "../../relay/kit/random.ts";

export function seededRandom(seed = 1): Random {
  let state = seed >>> 0;
  const draw = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
  return { draw, bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(draw() * 256)) };
}
