/**
 * One pass over a SendingDomain: its keys, the records it needs, what the zone's name servers say of them.
 * A new object gets a status at once; DNS, which may be slow, is asked on the next pass.
 */
import type { ObjectKey } from "../adapters/kubeClient.ts";
import {
  allVerified,
  domainNextLook,
  domainStatus,
  expectedDomainRecords,
  planDomain,
} from "../plan/index.ts";
import { dkimSecretName } from "../plan/names.ts";
import { resources } from "../resources.ts";
import type { DomainWorld, Plan } from "../world.ts";
import type { Caches } from "./caches.ts";
import { carryOut, MOST_ROUNDS } from "./carryOut.ts";
import type { Pass } from "./controller.ts";
import type { DnsAnswers } from "./dnsAnswers.ts";
import type { DnsLooks } from "./dnsLooks.ts";
import type { Gatherer } from "./gather.ts";
import type { Needs } from "./needs.ts";
import type { OwnWrites, Written } from "./ownWrites.ts";
import { notAfter } from "./result.ts";
import type { Writer } from "./writer.ts";

export const DOMAIN_MANAGER = "smtprelay-domain";

export interface DomainReconcilerOptions {
  readonly caches: Caches;
  readonly gatherer: Gatherer;
  readonly dns: DnsAnswers;
  readonly looks: DnsLooks;
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

  /** Itself and its keys. Of its relay and pools it only tells, and their changes bring it back. */
  concerns(key: ObjectKey, { namespace, name }: Written): boolean {
    return namespace === key.namespace && (name === key.name || name === dkimSecretName(key.name));
  }

  async reconcile(key: ObjectKey): Promise<Pass | "gone"> {
    const { looks } = this.#options;
    const planned = await this.#plan(key);
    if (planned === null) {
      looks.forget(key);
      return "gone";
    }
    const { world, plan, isNew } = planned;
    const failure = await carryOut(plan, this.#options.writer);
    const object = this.#options.caches.domains.peek(key);
    if (object === undefined) return "gone";
    const next = domainStatus(world, plan);
    return {
      result: isNew
        ? { kind: "again", afterSeconds: 0 }
        : notAfter(domainNextLook(world, plan, next), looks.secondsUntilDue(key)),
      status: { type: resources.sendingDomains, object, next },
      ...(failure === undefined ? {} : { failure }),
    };
  }

  /** A plan without needs; null when the domain is gone. */
  async #plan(key: ObjectKey): Promise<{ world: DomainWorld; plan: Plan; isNew: boolean } | null> {
    const { dns, gatherer, looks, needs, ownWrites, writer } = this.#options;
    for (let round = 0; round < MOST_ROUNDS; round++) {
      const gathered = await gatherer.domainWorld(key);
      if (gathered === null) return null;
      const { status } = gathered.domain;
      const isNew = status?.conditions === undefined;
      const records = expectedDomainRecords(gathered);
      const awaited = status?.dkim?.keys.some(({ state }) => state === "Publishing") === true;
      const verified = !awaited && allVerified(records, status?.records ?? []);
      const answers = !isNew && looks.due(key, verified) ? await dns.ask(records) : null;
      const world = { ...gathered, dns: answers };
      const plan = planDomain(world);
      if (plan.needs.length === 0) return { world, plan, isNew };
      await needs.satisfy(plan, key.namespace, writer);
      await ownWrites.caughtUp((written) => this.concerns(key, written));
    }
    throw new Error(
      `Cannot plan SendingDomain ${key.name}: what it needs was made ${MOST_ROUNDS} times over`,
    );
  }
}
