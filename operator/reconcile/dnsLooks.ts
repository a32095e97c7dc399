/**
 * When DNS is asked about an object. While a record is missing, on every pass: someone waits for it. Once all
 * are verified, every ten minutes, whatever else wakes the object: a pool is looked at every few seconds for
 * its reports, and other people's name servers must not feel that. After a start the looks are spread over
 * those ten minutes, so that ten thousand domains do not ask a hundred thousand questions at once.
 */
import type { Clock } from "../../relay/kit/clock.ts";
import type { Random } from "../../relay/kit/random.ts";
import type { ObjectKey } from "../adapters/kubeClient.ts";
import { keyText } from "./cache.ts";

export const VERIFIED_LOOK_SECONDS = 600;

export class DnsLooks {
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #dueAt = new Map<string, number>();

  constructor(options: { readonly clock: Clock; readonly random: Random }) {
    this.#clock = options.clock;
    this.#random = options.random;
  }

  /** Whether to ask on this pass. `verified`: all that is expected was seen the last time. */
  due(key: ObjectKey, verified: boolean): boolean {
    const text = keyText(key);
    const now = this.#clock.now();
    const dueAt = this.#dueAt.get(text);
    if (verified && dueAt === undefined) {
      this.#dueAt.set(text, now + this.#random.draw() * VERIFIED_LOOK_SECONDS * 1000);
      return false;
    }
    if (verified && dueAt !== undefined && now < dueAt) return false;
    this.#dueAt.set(text, now + VERIFIED_LOOK_SECONDS * 1000);
    return true;
  }

  /** How long a pass that did not ask may wait for the next. */
  secondsUntilDue(key: ObjectKey): number {
    const dueAt = this.#dueAt.get(keyText(key));
    return dueAt === undefined ? 0 : Math.max(0, Math.ceil((dueAt - this.#clock.now()) / 1000));
  }

  /** The object is gone. */
  forget(key: ObjectKey): void {
    this.#dueAt.delete(keyText(key));
  }
}
