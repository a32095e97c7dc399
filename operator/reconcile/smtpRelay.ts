/**
 * One pass over an SmtpRelay: gather its world, plan, make what the plan needs, apply what differs, and
 * say how it is. Runs under the locks of the pools it names, so that no allowance is granted twice.
 */
import type { PasswordHasher } from "../adapters/passwords.ts";
import type { ObjectKey } from "../adapters/kubeClient.ts";
import { passwordsToHash, planRelay, relayNextLook, relayStatus } from "../plan/index.ts";
import { resources } from "../resources.ts";
import type { RelayPlan, RelayWorld } from "../world.ts";
import { ref } from "./caches.ts";
import { carryOut, MOST_ROUNDS } from "./carryOut.ts";
import type { Pass } from "./controller.ts";
import type { Gatherer } from "./gather.ts";
import type { Needs } from "./needs.ts";
import type { OwnWrites, Written } from "./ownWrites.ts";
import { poolsNamed } from "./typed.ts";
import type { Writer } from "./writer.ts";
import type { Caches } from "./caches.ts";

export const RELAY_MANAGER = "smtprelay-relay";

export interface RelayReconcilerOptions {
  readonly caches: Caches;
  readonly gatherer: Gatherer;
  readonly passwords: PasswordHasher;
  readonly needs: Needs;
  readonly ownWrites: OwnWrites;
  /** With RELAY_MANAGER. */
  readonly writer: Writer;
}

export class RelayReconciler {
  readonly #options: RelayReconcilerOptions;

  constructor(options: RelayReconcilerOptions) {
    this.#options = options;
  }

  /** The pools whose allowances it deals out. */
  lockNames(key: ObjectKey): readonly string[] {
    const relay = this.#options.caches.relays.cache.get(key)?.value;
    return relay === null || relay === undefined
      ? []
      : poolsNamed(relay).map((name) => ref(key.namespace, name));
  }

  /** Its pools, domains and Secrets are of its namespace; the ledger must never be older than our own writes. */
  concerns({ namespace }: ObjectKey, written: Written): boolean {
    return written.namespace === namespace;
  }

  async reconcile(key: ObjectKey): Promise<Pass | "gone"> {
    const planned = await this.#plan(key);
    if (planned === null) return "gone";
    const { world, plan } = planned;
    const failure = await carryOut(plan, this.#options.writer);
    const object = this.#options.caches.relays.peek(key);
    if (object === undefined) return "gone";
    const next = relayStatus(world, plan);
    return {
      result: relayNextLook(world, plan, next),
      status: { type: resources.smtpRelays, object, next },
      ...(failure === undefined ? {} : { failure }),
    };
  }

  /** A plan without needs; null when the relay is gone. */
  async #plan(key: ObjectKey): Promise<{ world: RelayWorld; plan: RelayPlan } | null> {
    const { gatherer, needs, ownWrites, passwords, writer } = this.#options;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const world = await gatherer.relayWorld(key);
      if (world === null) return null;
      const hashPassword = await passwords.prepare(passwordsToHash(world));
      const plan = planRelay(world, { hashPassword });
      if (plan.needs.length === 0) return { world, plan };
      await needs.satisfy(plan, key.namespace, writer);
      await ownWrites.caughtUp((written) => this.concerns(key, written));
    }
    throw new Error(`Cannot plan SmtpRelay ${key.name}: what it needs was made ${MOST_ROUNDS} times over`);
  }
}
