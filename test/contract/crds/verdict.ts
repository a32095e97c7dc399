/** One row of the table of verdicts. */
import type { KindName } from "../../../crds/group.ts";
import type { ProblemKind } from "../../../crds/problems.ts";
import type { Manifest } from "./manifests.ts";

export interface Verdict {
  /** Name of the row: a sentence. */
  readonly because: string;
  readonly kind: KindName;
  readonly manifest: Manifest;
  /** The object in force, for an update. */
  readonly old?: Manifest;
  /** Absent: accepted. */
  readonly refused?: {
    /** Path of the field as the server names it. */
    readonly at: string;
    readonly as: ProblemKind;
    /** The message of the CEL rule that refuses it. */
    readonly rule?: string;
  };
}
