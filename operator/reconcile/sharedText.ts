/**
 * Makes equal texts of cached objects one text. Ten thousand objects say "Verified" and the like a hundred times
 * each, and every DKIM key is in two Secrets: its domain's, and the configuration of its relay. Parsed JSON makes
 * a text of its own of each, which was a third of the operator's memory.
 *
 * Tables are bounded and begin anew when full, so that texts that occur once leave nothing behind.
 */

/** Longer texts are keys and documents. */
const SHORT = 80;
const MOST_SHORT = 4096;
/** Two keys for each of 10,000 domains, with room. */
const MOST_LONG = 50_000;

export class SharedText {
  readonly #short = new Map<string, string>();
  readonly #long = new Map<string, string>();

  /** Replaces texts within the value, which must be the caller's own; returns it. */
  within<T>(value: T): T {
    if (typeof value === "string") return this.#shared(value) as T;
    if (typeof value !== "object" || value === null) return value;
    const fields = value as Record<string, unknown>;
    for (const name in fields) {
      const field = fields[name];
      if (typeof field === "string" || typeof field === "object") fields[name] = this.within(field);
    }
    return value;
  }

  #shared(text: string): string {
    const [table, most] = text.length <= SHORT ? [this.#short, MOST_SHORT] : [this.#long, MOST_LONG];
    const known = table.get(text);
    if (known !== undefined) return known;
    if (table.size >= most) table.clear();
    table.set(text, text);
    return text;
  }
}
