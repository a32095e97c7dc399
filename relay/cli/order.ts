/** What `smtp-relay` and `smtp-relay spool` make of what was typed: an order, or something to say instead. */

export type Parsed<Order> = { readonly kind: "order"; readonly order: Order } | NoOrder;

export type NoOrder =
  | { readonly kind: "help"; readonly text: string }
  /** What, and what to do. */
  | { readonly kind: "wrong"; readonly reason: string };

export interface Voice {
  /** Writes lines to standard output. */
  readonly out: (lines: readonly string[]) => void;
  /** Writes lines to standard error. */
  readonly err: (lines: readonly string[]) => void;
}

/** Says it; the exit code. */
export function sayInstead(said: NoOrder, { out, err }: Voice): number {
  switch (said.kind) {
    case "help":
      out(said.text.trimEnd().split("\n"));
      return 0;
    case "wrong":
      err([said.reason]);
      return 2;
  }
}
