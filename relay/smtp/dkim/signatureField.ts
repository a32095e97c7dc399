/**
 * The DKIM-Signature field as text: tags in order, folded so that lines stay within 78 characters where
 * their words allow (RFC 5322 §2.1.1). Pure.
 */
import { canonicalValue } from "./canonicalHeader.ts";

export const SIGNATURE_NAME = "DKIM-Signature";

/** RFC 5322 §2.1.1: SHOULD be no more, excluding CRLF. */
const LINE_LENGTH = 78;

export interface SignatureTags {
  readonly algorithm: "rsa-sha256" | "ed25519-sha256";
  readonly domain: string;
  readonly selector: string;
  /** Seconds since the epoch, for t=. */
  readonly signedAtSeconds: number;
  /** Names for h=. */
  readonly names: readonly string[];
  /** Base64, for bh=. */
  readonly bodyHash: string;
}

export interface UnsignedField {
  /** The canonical form with an empty b=, which is hashed last and without a CRLF (RFC 6376 §3.7). */
  readonly canonical: string;
  /** The whole field with this signature (base64), ending in CRLF. */
  withSignature(signature: string): string;
}

/** Neither l= (RFC 6376 §8.2: what is appended would pass) nor x= (mail may wait in a queue for days). */
export function unsignedField(tags: SignatureTags): UnsignedField {
  const lines = new Lines(`${SIGNATURE_NAME}: v=1;`);
  for (const tag of [
    `a=${tags.algorithm};`,
    "c=relaxed/relaxed;",
    `d=${tags.domain};`,
    `s=${tags.selector};`,
    `t=${tags.signedAtSeconds};`,
  ]) {
    lines.word(tag, " ");
  }
  lines.newLine();
  // RFC 6376 §3.5: white space is allowed around the colons of h= and anywhere in bh= and b=.
  tags.names.forEach((name, index) => {
    const last = index === tags.names.length - 1;
    lines.word(`${index === 0 ? "h=" : ""}${name}${last ? ";" : ":"}`, "");
  });
  lines.newLine();
  lines.split(`bh=${tags.bodyHash};`);
  lines.newLine();
  const before = `${lines.text()}b=`;
  const canonical = `${SIGNATURE_NAME.toLowerCase()}:${canonicalValue(before.slice(SIGNATURE_NAME.length + 1))}`;
  return {
    canonical,
    withSignature: (signature) => {
      const rest = new Lines("\tb=");
      rest.split(signature);
      return `${before.slice(0, -"\tb=".length)}${rest.text()}\r\n`;
    },
  };
}

/** Folded text under construction; continuation lines begin with a tab. */
class Lines {
  readonly #done: string[] = [];
  #line: string;

  constructor(start: string) {
    this.#line = start;
  }

  /** Adds a word that must not be broken, behind `glue`, on a new line when this one is full. */
  word(word: string, glue: string): void {
    if (this.#line !== "\t" && this.#line.length + glue.length + word.length > LINE_LENGTH) this.newLine();
    this.#line += this.#line === "\t" ? word : glue + word;
  }

  /** Adds text that may be broken anywhere. */
  split(text: string): void {
    for (let rest = text; rest !== "";) {
      if (this.#line.length >= LINE_LENGTH) this.newLine();
      const room = LINE_LENGTH - this.#line.length;
      this.#line += rest.slice(0, room);
      rest = rest.slice(room);
    }
  }

  newLine(): void {
    this.#done.push(this.#line);
    this.#line = "\t";
  }

  text(): string {
    return [...this.#done, this.#line].join("\r\n");
  }
}
