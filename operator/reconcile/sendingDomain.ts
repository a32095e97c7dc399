/**
 * One pass over a SendingDomain: its keys, the records it needs, what the zone's name servers say of them.
 * A new object gets a status at once; DNS, which may be slow, is asked on the next pass.
 */
import type { ObjectKey } from "../adapters/kubeClient.ts";
import { domainNextLook, domainStatus, expectedDomainRecords, planDomain } from "../plan/index.ts";
import { resources } from "../resources.ts";
import type { DomainWorld, Plan } from "../world.ts";
import type { Caches } from "./caches.ts";
import { carryOut, MOST_ROUNDS } from "./carryOut.ts";
import type { Pass } from "./controller.ts";
import type { DnsAnswers } from "./dnsAnswers.ts";
import type { Gatherer } from "./gather.ts";
import type { Needs } from "./needs.ts";
import type { OwnWrites } from "./ownWrites.ts";
import type { Writer } from "./writer.ts";

export const DOMAIN_MANAGER = "smtprelay-domain";

export interface DomainReconcilerOptions {
  readonly caches: Caches;
  readonly gatherer: Gatherer;
  readonly dns: DnsAnswers;
  readonly needs: Needs;
  readonly ownWrites: OwnWrites;
  /** With DOMAIN_MANAGER. */
  readonly writer: Writer;
}

export class DomainReconciler {
  readonly #options: DomainReconcilerOptions;

  constructor(options: DomainReconcilerOptions) {
    this.#options = options;
  }

  async reconcile(key: ObjectKey): Promise<Pass | "gone"> {
    const planned = await this.#plan(key);
    if (planned === null) return "gone";
    const { world, plan } = planned;
    const failure = await carryOut(plan, this.#options.writer);
    const object = this.#options.caches.domains.peek(key);
    if (object === undefined) return "gone";
    const next = domainStatus(world, plan);
    return {
      result: world.dns === null ? { kind: "again", afterSeconds: 0 } : domainNextLook(world, plan, next),
      status: { type: resources.sendingDomains, object, next },
      ...(failure === undefined ? {} : { failure }),
    };
  }

  /** A plan without needs; null when the domain is gone. */
  async #plan(key: ObjectKey): Promise<{ world: DomainWorld; plan: Plan } | null> {
    const { dns, gatherer, needs, ownWrites, writer } = this.#options;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const gathered = await gatherer.domainWorld(key);
      if (gathered === null) return null;
      const isNew = gathered.domain.status?.conditions === undefined;
      const answers = isNew ? null : await dns.ask(expectedDomainRecords(gathered));
      const world = { ...gathered, dns: answers };
      const plan = planDomain(world);
      if (plan.needs.length === 0) return { world, plan };
      await needs.satisfy(plan, key.namespace, writer);
      await ownWrites.caughtUp();
    }
    throw new Error(
      `Cannot plan SendingDomain ${key.name}: what it needs was made ${MOST_ROUNDS} times over`,
    );
  }
}
