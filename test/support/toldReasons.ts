/**
 * Holds the queue to its word: at every step of a story each message that waits has to say why, since when
 * and until when, as the configuration, the peers and the clock have it; and what was said to wait until an
 * instant is not sent before it. A queue that forgets a message is found here, because it then says that it
 * is about to send it and does not.
 */
import type { BindingRule, Explanation } from "../../relay/contract/admin.ts";
import type { RelayConfig } from "../../relay/contract/config.ts";
import type { QueuedMessage } from "../../relay/message.ts";
import type { Engine } from "../../relay/queue/engine.ts";
import type { ScriptedDeliverer } from "./scriptedDeliverer.ts";

interface Moment {
  readonly engine: Engine;
  readonly config: RelayConfig;
  readonly peers: ScriptedDeliverer;
  readonly now: number;
  readonly diskFails: boolean;
}

type Waiting = Explanation["waiting"][number];

/** Messages asked at each step: the oldest, the newest, and some between that change from step to step. */
const MOST_ASKED = 16;
/** Above so many messages in the queue only every eighth step is looked at, or long stories take minutes. */
const MANY = 60;

export class ToldReasons {
  readonly #envelopes = new Map<string, object>();
  readonly #ids = new WeakMap<object, string>();
  /** What the last step said, by message and recipient. */
  #told = new Map<string, BindingRule>();
  #jobsSeen = 0;
  #step = 0;
  /** Kinds of the report's restraints at this step, taken when first needed. */
  #restraints: ReadonlySet<string> | null = null;
  /** Reasons looked at so far. */
  asked = 0;

  sent(message: QueuedMessage): void {
    this.#envelopes.set(message.id, message.envelope);
    this.#ids.set(message.envelope, message.id);
  }

  /** Something else than the clock and the peers has changed: what was said holds no more. */
  forget(): void {
    this.#told = new Map();
  }

  async check(moment: Moment): Promise<void> {
    this.#keptItsWord(moment);
    const ids = moment.engine.find("", Number.MAX_SAFE_INTEGER);
    this.#step++;
    if (ids.length > MANY && this.#step % 8 !== 0) return;
    this.#restraints = null;
    const told = new Map<string, BindingRule>();
    // At once: nothing can happen between two answers.
    const all = await Promise.all(this.#some(ids).map((id) => moment.engine.explain(id)));
    for (const explained of all) {
      if (explained === null) continue;
      const { id } = explained;
      this.#eachOnce(explained);
      for (const waiting of explained.waiting) {
        this.asked++;
        const why = this.#wrong(explained, waiting, moment);
        if (why !== null) throw new Error(`${id} ${waiting.address} ${why}: ${JSON.stringify(waiting.rule)}`);
        told.set(`${id} ${waiting.address}`, waiting.rule);
      }
    }
    this.#told = told;
  }

  #some(ids: readonly string[]): readonly string[] {
    if (ids.length <= MOST_ASKED) return ids;
    const part = MOST_ASKED / 4;
    const from = (this.#step * 2 * part) % ids.length;
    return [...new Set([...ids.slice(0, part), ...ids.slice(from, from + 2 * part), ...ids.slice(-part)])];
  }

  /** What was sent since had no reason to wait longer. */
  #keptItsWord({ peers }: Moment): void {
    for (const { at, job } of peers.jobs.slice(this.#jobsSeen)) {
      const id = this.#ids.get(job.envelope);
      for (const { address } of job.recipients) {
        const rule = this.#told.get(`${id} ${address}`);
        // A limit of the path or the day can end sooner, when another transaction gives back what it took.
        if (rule === undefined || !["Retry", "RelayPaused", "DomainHeld", "SourcePaused"].includes(rule.kind))
          continue;
        if (rule.until === null || Date.parse(rule.until) > at) {
          throw new Error(`${id} ${address} was sent at ${at} against its word: ${JSON.stringify(rule)}`);
        }
      }
    }
    this.#jobsSeen = peers.jobs.length;
  }

  #eachOnce({ id, recipientCount, waiting }: Explanation): void {
    const addresses = new Set(waiting.map(({ address }) => address));
    if (addresses.size !== waiting.length || waiting.length > recipientCount) {
      throw new Error(`${id} explains ${waiting.map(({ address }) => address).join(", ")}`);
    }
    if (waiting.length === 0) throw new Error(`${id} is queued, and nobody of it waits`);
  }

  #kinds(engine: Engine): ReadonlySet<string> {
    this.#restraints ??= new Set(engine.report().restraints.map(({ kind }) => kind));
    return this.#restraints;
  }

  /** What is wrong with a reason, null when it is right. */
  #wrong({ id, receivedAt }: Explanation, { address, rule, nextTryAt }: Waiting, moment: Moment) {
    const { now, config, peers, diskFails } = moment;
    if (rule.text === "") return "gives no reason";
    if (rule.since === null || Date.parse(rule.since) > now) return "does not say since when";
    if (rule.since < receivedAt) return "waits since before it was accepted";
    if (rule.until !== null && Date.parse(rule.until) <= now) return "should have gone on by now";
    if (rule.until !== null && rule.until !== nextTryAt) return "waits and is tried at different times";
    const envelope = this.#envelopes.get(id);
    if (envelope !== undefined && peers.has(envelope, address)) {
      return rule.kind === "InFlight" ? null : "is being delivered and does not say so";
    }
    switch (rule.kind) {
      case "Due":
        // Whatever can start has started, so only these can be in the way of what is due.
        // What waits on the disk waits for others of its lane that are in memory.
        return /^looking up|transactions .*are in use|on the disk, [1-9]\d* in memory$/.test(rule.text)
          ? null
          : "is due, and nothing happens";
      case "InFlight":
        // Before the peer is asked (signing) and after (recording) the peer does not know of it.
        return null;
      case "RelayPaused":
        return config.paused ? null : "says that the relay is paused";
      case "DomainHeld":
        return config.domains.some(({ state }) => state === "Held") ? null : "says that a domain is held";
      case "SourcePaused":
        return sources(config).some(({ state }) => state === "Paused")
          ? null
          : "says that a source is paused";
      case "Allowance":
        return sources(config).some(({ allowance }) => allowance.length > 0)
          ? null
          : "says that an allowance is spent";
      case "SpoolFailed":
        return diskFails || moment.engine.report().spool.state === "Failed"
          ? null
          : "says that the spool failed";
      case "ConnectionLimit":
        return peers.running > 0 ? null : "says that connections are in use";
      case "Backoff":
        return this.#kinds(moment.engine).has("Backoff") ? null : "says that a path is silent";
      case "Retry":
        return rule.until === null ? "is tried again at no time" : null;
      case "SourceMissing":
      case "NoSource":
        return null;
    }
  }
}

function sources(config: RelayConfig) {
  return config.pods.flatMap((pod) => pod.sources);
}
