/**
 * A deliverer that answers as a test tells it, for stories about the queue. It keeps every job with its
 * time and content, and fails the test when one recipient is in two transactions at once.
 */
import { createHash } from "node:crypto";

import type { Clock } from "../../relay/kit/clock.ts";
import type { Outcome, Reply, SmtpStage } from "../../relay/message.ts";
import type { Deliverer, DeliveryJob, DeliveryResult } from "../../relay/smtp/delivery.ts";

/**
 * What one recipient hears: an outcome, or until the transaction is aborted nothing ("hang") or a word a
 * minute ("trickle"), or nothing even when it is ("deaf").
 */
export type Script = Outcome | "hang" | "trickle" | "deaf";

export interface SeenJob {
  readonly at: number;
  readonly source: string;
  readonly site: string;
  readonly port: number;
  readonly recipients: readonly string[];
  readonly content: string;
  readonly job: DeliveryJob;
}

/** "421 4.7.28 text" → a reply; the enhanced code may be missing. */
export function reply(line: string): Reply {
  const [, code = "0", enhanced, text = ""] =
    /^(\d{3})(?: (\d\.\d{1,3}\.\d{1,3}))?(?: (.*))?$/.exec(line) ?? [];
  return { code: Number(code), enhanced: enhanced ?? null, text };
}

export const accepted: Outcome = { kind: "delivered", reply: reply("250 2.0.0 queued") };
export const refused = (line: string, stage: SmtpStage = "rcpt"): Outcome => ({
  kind: "replied",
  stage,
  reply: reply(line),
});
export const unreachable = (stage: SmtpStage = "connect", reason = "connection refused"): Outcome => ({
  kind: "unreachable",
  stage,
  reason,
});

interface Rule {
  readonly matches: (address: string, job: DeliveryJob) => boolean;
  readonly script: Script;
  left: number;
}

export class ScriptedDeliverer implements Deliverer {
  readonly jobs: SeenJob[] = [];
  /** Transactions that ended, with the time they started. */
  readonly ended: { readonly at: number; readonly outcomes: readonly Outcome[] }[] = [];
  /** Addresses delivered to, in order, with repeats. */
  readonly delivered: string[] = [];
  /** Most transactions at once, in all and of each source. */
  peak = 0;
  readonly #clock: Clock;
  readonly #rules: Rule[] = [];
  readonly #busy = new Map<string, DeliveryJob>();
  #running = 0;
  #gate: Promise<void> | null = null;
  #open: () => void = () => {};

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Answers recipients whose address ends with `suffix`; newer rules come first; `times` recipients. */
  on(suffix: string, script: Script, options: { times?: number; source?: string } = {}): this {
    const { times = Number.POSITIVE_INFINITY, source } = options;
    const matches = (address: string, job: DeliveryJob) =>
      address.endsWith(suffix) && (source === undefined || job.source.name === source);
    this.#rules.unshift({ matches, script, left: times });
    return this;
  }

  /** Holds every transaction that starts from now on until `release`. */
  hold(): void {
    this.#gate ??= new Promise((resolve) => (this.#open = resolve));
  }

  release(): void {
    this.#gate = null;
    this.#open();
  }

  /** The sender has died: what was under way may come again. */
  senderDied(): void {
    this.#busy.clear();
  }

  /** Whether this recipient of the message with this envelope is in a transaction that may go on. */
  has(envelope: object, address: string): boolean {
    return this.#busy.get(`${envelopeId(envelope)} ${address}`)?.signal.aborted === false;
  }

  /** Transactions under way. */
  get running(): number {
    return this.#running;
  }

  async deliver(job: DeliveryJob): Promise<DeliveryResult> {
    const at = this.#clock.now();
    // The envelope object is the message's own: it tells one message's recipients from another's.
    const keys = job.recipients.map(({ address }) => `${envelopeId(job.envelope)} ${address}`);
    for (const key of keys) {
      if (this.#busy.has(key)) throw new Error(`Recipient ${key} is in two transactions at once.`);
      this.#busy.set(key, job);
    }
    this.#running++;
    this.peak = Math.max(this.peak, this.#running);
    try {
      const chunks: Buffer[] = [];
      for await (const chunk of job.content()) chunks.push(Buffer.from(chunk as Uint8Array));
      const content = Buffer.concat(chunks).toString("latin1");
      this.jobs.push({
        at,
        source: job.source.name,
        site: job.site,
        port: job.port,
        recipients: job.recipients.map(({ address }) => address),
        content,
        job,
      });
      if (this.#gate !== null) await Promise.race([this.#gate, aborted(job.signal)]);
      if (job.signal.aborted) return this.#broken(job, at);
      const scripts = job.recipients.map(({ address }) => this.#next(address, job));
      const outcomes = scripts.filter((script) => typeof script !== "string");
      if (outcomes.length < scripts.length) {
        if (scripts.includes("deaf")) await new Promise<never>(() => {});
        const quiet = scripts.includes("trickle") ? this.#trickle(job) : () => {};
        await aborted(job.signal);
        quiet();
        return this.#broken(job, at);
      }
      return this.#result(job, at, outcomes);
    } finally {
      this.#running--;
      for (const key of keys) if (this.#busy.get(key) === job) this.#busy.delete(key);
    }
  }

  connections(): number {
    return 0;
  }

  async close(): Promise<void> {}

  #trickle(job: DeliveryJob): () => void {
    let cancel = () => {};
    const word = () => {
      job.progress?.();
      cancel = this.#clock.after(60_000, word);
    };
    word();
    return () => cancel();
  }

  #next(address: string, job: DeliveryJob): Script {
    const rule = this.#rules.find(({ matches, left }) => left > 0 && matches(address, job));
    if (rule === undefined) return accepted;
    rule.left--;
    return rule.script;
  }

  /** Ended by our own side, which is no failure of the session: as the real deliverer tells it. */
  #broken(job: DeliveryJob, at: number): DeliveryResult {
    const outcomes = job.recipients.map(() => unreachable("content", "aborted"));
    return { ...this.#result(job, at, outcomes), failedAt: null };
  }

  #result(job: DeliveryJob, at: number, outcomes: readonly Outcome[]): DeliveryResult {
    this.ended.push({ at, outcomes });
    outcomes.forEach((outcome, index) => {
      if (outcome.kind === "delivered") this.delivered.push(job.recipients[index]?.address ?? "");
    });
    const broken = outcomes.find((outcome) => outcome.kind === "unreachable");
    return {
      outcomes,
      host: job.hosts[0]?.name ?? null,
      address: job.hosts[0]?.addresses[0] ?? null,
      tls: null,
      failedAt: broken?.kind === "unreachable" ? broken.stage : null,
      unbound: null,
      dsnTaken: false,
    };
  }
}

const ids = new WeakMap<object, string>();
function envelopeId(envelope: object): string {
  let id = ids.get(envelope);
  if (id === undefined) {
    id = createHash("sha256")
      .update(String(Math.floor(performance.now() * 1e6)))
      .digest("hex")
      .slice(0, 8);
    ids.set(envelope, id);
  }
  return id;
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
