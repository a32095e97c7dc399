/**
 * What DNS says about a set of expected records. Several events in a row ask the same within moments: an
 * answer serves for some seconds, and a question under way is asked once.
 */
import type { DnsProbe } from "../adapters/dnsProbe.ts";
import { type DnsAnswer, dnsQuestion, type ExpectedRecord } from "../world.ts";
import type { Clock } from "../../relay/kit/clock.ts";

/** Shorter than any interval in which a person who fixes a record looks again. */
const FRESH_MS = 4000;
/** Answers kept; beyond that the oldest go. */
const REMEMBERED = 20_000;

export class DnsAnswers {
  readonly #probe: DnsProbe;
  readonly #clock: Clock;
  readonly #known = new Map<string, { readonly askedAt: number; readonly answer: Promise<DnsAnswer> }>();

  constructor(options: { readonly probe: DnsProbe; readonly clock: Clock }) {
    this.#probe = options.probe;
    this.#clock = options.clock;
  }

  async ask(records: readonly ExpectedRecord[]): Promise<ReadonlyMap<string, DnsAnswer>> {
    const asked = new Map(records.map((record) => [dnsQuestion(record), this.#one(record)]));
    const answers = await Promise.all(
      [...asked].map(async ([question, answer]) => [question, await answer] as const),
    );
    return new Map(answers);
  }

  #one(record: ExpectedRecord): Promise<DnsAnswer> {
    const question = dnsQuestion(record);
    const known = this.#known.get(question);
    const now = this.#clock.now();
    if (known !== undefined && now - known.askedAt < FRESH_MS) return known.answer;
    const answer = this.#probe.ask({ type: record.type, name: record.name });
    this.#known.delete(question);
    this.#known.set(question, { askedAt: now, answer });
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= REMEMBERED) break;
      this.#known.delete(oldest);
    }
    return answer;
  }
}
