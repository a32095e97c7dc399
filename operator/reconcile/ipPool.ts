/**
 * One pass over an IpPool: its addresses' checks, ramps, reputation, and the ledger of who may spend how
 * much. Runs under the lock of the pool, and its status is written before the lock is given back.
 */
import type { ObjectKey } from "../adapters/kubeClient.ts";
import { allVerified, expectedPoolRecords, planPool, poolNextLook, poolStatus } from "../plan/index.ts";
import { resources } from "../resources.ts";
import { type Caches, ref } from "./caches.ts";
import { carryOut } from "./carryOut.ts";
import type { Pass } from "./controller.ts";
import type { DnsAnswers } from "./dnsAnswers.ts";
import type { DnsLooks } from "./dnsLooks.ts";
import type { Gatherer } from "./gather.ts";
import type { Written } from "./ownWrites.ts";
import { notAfter } from "./result.ts";
import type { Writer } from "./writer.ts";

export const POOL_MANAGER = "smtprelay-pool";

export interface PoolReconcilerOptions {
  readonly caches: Caches;
  readonly gatherer: Gatherer;
  readonly dns: DnsAnswers;
  readonly looks: DnsLooks;
  /** With POOL_MANAGER. */
  readonly writer: Writer;
}

export class PoolReconciler {
  readonly #options: PoolReconcilerOptions;

  constructor(options: PoolReconcilerOptions) {
    this.#options = options;
  }

  lockNames(key: ObjectKey): readonly string[] {
    return [ref(key.namespace, key.name)];
  }

  /** Its relays are of its namespace; neither ledger nor configurations may be older than our own writes. */
  concerns({ namespace }: ObjectKey, written: Written): boolean {
    return written.namespace === namespace;
  }

  async reconcile(key: ObjectKey): Promise<Pass | "gone"> {
    const { caches, dns, gatherer, looks, writer } = this.#options;
    const pool = caches.pools.cache.get(key)?.value;
    if (pool === null || pool === undefined) {
      looks.forget(key);
      return "gone";
    }
    // DNS first: it may be slow, and what the pods say must not grow old meanwhile.
    const isNew = pool.status?.conditions === undefined;
    const records = expectedPoolRecords(pool);
    const asks = !isNew && looks.due(key, allVerified(records, pool.status?.records ?? []));
    const answers = asks ? await dns.ask(records) : null;
    const gathered = await gatherer.poolWorld(key);
    if (gathered === null) return "gone";
    const world = { ...gathered, dns: answers };
    const plan = planPool(world);
    const failure = await carryOut(plan, writer);
    const object = caches.pools.peek(key);
    if (object === undefined) return "gone";
    const next = poolStatus(world, plan);
    return {
      result: isNew
        ? { kind: "again", afterSeconds: 0 }
        : notAfter(poolNextLook(world, plan, next), looks.secondsUntilDue(key)),
      status: { type: resources.ipPools, object, next },
      ...(failure === undefined ? {} : { failure }),
    };
  }
}
