/**
 * What was promised and what came of it, by key: one key a recipient of a message, one a bounce. Pure.
 *
 * A key is *accepted* when its 250 was seen, *final* when the sink took it (a refused recipient: when its
 * bounce came back to the sender's mailbox). A delivery is *in flight* at a kill when the sink has ended it in
 * that life and nothing tells that the relay had recorded it; only such a delivery may come once more,
 * so every duplicate is held against the kills before it, key by key.
 */

/** `never` is refused for good at the sink, so that its end is a bounce. */
export type Fate = "ok" | "later" | "never";

interface Entry {
  accepted: boolean;
  delivered: number;
  /** More deliveries that kills have made possible. */
  owed: number;
  /** How often it ended at the sink in this life without being known to be recorded. */
  ended: number;
  hash: string | null;
}

export interface Totals {
  kills: number;
  /** Recipients whose 250 was seen. */
  accepted: number;
  delivered: number;
  bounced: number;
  /** Accepted, without a final outcome, and the relay says that it is empty. */
  lost: number;
  /** The same, and the relay says that it still has mail: nothing moved for too long. */
  stuck: number;
  duplicates: number;
  duplicatesBeyondInFlight: number;
  inFlightAtKills: number;
  /** Arrived with another body than was sent. */
  damaged: number;
}

export function noTotals(): Totals {
  return {
    kills: 0,
    accepted: 0,
    delivered: 0,
    bounced: 0,
    lost: 0,
    stuck: 0,
    duplicates: 0,
    duplicatesBeyondInFlight: 0,
    inFlightAtKills: 0,
    damaged: 0,
  };
}

export function addTotals(sum: Totals, more: Totals): void {
  for (const name of Object.keys(more) as (keyof Totals)[]) sum[name] += more[name];
}

export class Ledger {
  readonly #entries = new Map<string, Entry>();
  /** Keys that ended in this life. */
  #ended = new Set<string>();
  #open = 0;
  readonly #troubles: string[] = [];
  readonly #totals = noTotals();

  /** About to be submitted: whatever comes of it, this is its content. */
  sent(key: string, hash: string): void {
    this.#entry(key).hash = hash;
  }

  /** Its 250 was seen. */
  accept(key: string): void {
    const entry = this.#entry(key);
    if (entry.accepted) return;
    entry.accepted = true;
    this.#totals.accepted++;
    if (!this.#isFinal(key, entry)) this.#open++;
  }

  /** The sink has taken it. */
  deliver(key: string, hash: string | null): void {
    const entry = this.#entry(key);
    const wasOpen = entry.accepted && !this.#isFinal(key, entry);
    entry.delivered++;
    this.#totals[isBounce(key) ? "bounced" : "delivered"]++;
    if (wasOpen) this.#open--;
    if (entry.delivered > 1) {
      this.#totals.duplicates++;
      if (entry.owed > 0) entry.owed--;
      else {
        this.#totals.duplicatesBeyondInFlight++;
        this.#trouble(
          `${key} came ${entry.delivered} times, the last without having been in flight at a kill`,
        );
      }
    }
    if (entry.hash !== null && hash !== null && hash !== entry.hash) {
      this.#totals.damaged++;
      this.#trouble(`${key} came with another body than was sent`);
    }
    if (isBounce(key)) this.#settleRefused(key);
    this.#end(key, entry);
  }

  /** The sink has refused it for good: a bounce must follow. */
  refuse(key: string): void {
    this.#end(key, this.#entry(key));
  }

  /** The relay's record of this key's end is durable. */
  recorded(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined || entry.ended === 0) return;
    entry.ended--;
    if (entry.ended === 0) this.#ended.delete(key);
  }

  /** The relay's life is over and all it had sent is read. `wasInFlight` tells what nothing was recorded of. */
  lifeEnded(wasKilled: boolean, wasInFlight: (key: string) => boolean = () => true): void {
    if (wasKilled) this.#totals.kills++;
    for (const key of this.#ended) {
      const entry = this.#entry(key);
      const count = entry.ended;
      entry.ended = 0;
      if (!wasInFlight(key)) continue;
      this.#totals.inFlightAtKills += count;
      // A refusal that was not recorded is refused again, and its bounce may come again.
      if (fateOf(key) === "never" && !isBounce(key)) this.#entry(bounceKey(messageOf(key))).owed += count;
      else entry.owed += count;
    }
    this.#ended = new Set();
  }

  /** Accepted keys without a final outcome yet. */
  get open(): number {
    return this.#open;
  }

  openKeys(): string[] {
    return [...this.#entries]
      .filter(([key, entry]) => entry.accepted && !this.#isFinal(key, entry))
      .map(([key]) => key);
  }

  /** The books closed: what is still open is lost, unless the relay says that it has it. */
  close(isEmpty = true): { readonly totals: Totals; readonly troubles: readonly string[] } {
    const open = this.openKeys();
    const what = isEmpty ? "never came" : "is still in the queue, where nothing moves";
    for (const key of open) this.#trouble(`${key} was accepted and ${what}`);
    const ends = isEmpty ? { lost: open.length, stuck: 0 } : { lost: 0, stuck: open.length };
    return { totals: { ...this.#totals, ...ends }, troubles: this.#troubles };
  }

  #end(key: string, entry: Entry): void {
    entry.ended++;
    this.#ended.add(key);
  }

  #isFinal(key: string, entry: Entry): boolean {
    if (entry.delivered > 0) return true;
    if (fateOf(key) !== "never") return false;
    return (this.#entries.get(bounceKey(messageOf(key)))?.delivered ?? 0) > 0;
  }

  /** The first bounce settles the refused recipient of its message. */
  #settleRefused(bounce: string): void {
    if ((this.#entries.get(bounce)?.delivered ?? 0) !== 1) return;
    const refused = this.#entries.get(recipientKey(messageOf(bounce), 0, "never"));
    if (refused?.accepted === true && refused.delivered === 0) this.#open--;
  }

  #trouble(text: string): void {
    // The first ones tell the story.
    if (this.#troubles.length < 20) this.#troubles.push(text);
  }

  #entry(key: string): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const entry = { accepted: false, delivered: 0, owed: 0, ended: 0, hash: null };
    this.#entries.set(key, entry);
    return entry;
  }
}

/** Local parts of addresses are the keys: "m17.1.later" is the second recipient of message m17. */
export function recipientKey(message: string, index: number, fate: Fate): string {
  return `${message}.${index}.${fate}`;
}

/** The sender of message m17 is "m17.bounce": what comes there is its bounce. */
export function bounceKey(message: string): string {
  return `${message}.bounce`;
}

export function fateOf(key: string): Fate {
  const word = key.slice(key.lastIndexOf(".") + 1);
  return word === "later" || word === "never" ? word : "ok";
}

function isBounce(key: string): boolean {
  return key.endsWith(".bounce");
}

function messageOf(key: string): string {
  return key.slice(0, key.indexOf("."));
}
