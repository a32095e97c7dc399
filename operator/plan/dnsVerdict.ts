/** What a comparison of expected and seen records ends in; the state is the one status shows. */
export type Verdict =
  | { readonly state: "Verified" }
  | { readonly state: "Missing"; readonly detail?: string }
  | { readonly state: "Different"; readonly detail: string };
