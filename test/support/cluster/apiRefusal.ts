/**
 * What an API server says against an object, in the shape of crds/problems.ts, so that its verdict and that
 * of local mode can be laid side by side.
 */
import type { ProblemKind } from "../../../crds/problems.ts";
import type { Reply } from "./rawApi.ts";

export interface Refusal {
  readonly kind: ProblemKind;
  /** As the server names it: "spec.listeners[1].port". */
  readonly path: string;
  readonly message: string;
}

interface Status {
  readonly message?: string;
  readonly details?: {
    readonly causes?: readonly {
      readonly reason?: string;
      readonly message?: string;
      readonly field?: string;
    }[];
  };
}

/** Null when the server accepted; throws at an answer that is no verdict. */
export function refusals(reply: Reply): readonly Refusal[] | null {
  if (reply.code === 200 || reply.code === 201) return null;
  const { message = "", details } = reply.body as Status;
  if (reply.code === 400) {
    const unknown = [...message.matchAll(/unknown field "([^"]+)"/g)].map(([text, path = ""]) => ({
      kind: "UnknownField" as const,
      path,
      message: text,
    }));
    if (unknown.length > 0) return unknown;
  }
  if (reply.code === 422) {
    return (details?.causes ?? [])
      .filter(({ field }) => !isRemark(field))
      .map((cause) => ({
        kind: kindOf(cause.reason ?? ""),
        path: cause.field ?? "",
        message: cause.message ?? "",
      }));
  }
  throw new Error(`Cannot read a verdict from ${reply.code}: ${message}`);
}

/**
 * Said beside the errors proper: about no field, that something else was not looked at; about ".spec.replicas", what
 * the scale subresource makes of a count that the schema has refused already.
 */
function isRemark(field = ""): boolean {
  return field === "<nil>" || field.startsWith(".");
}

/** Reasons of the API machinery (metav1.CauseType) in the words that its messages use. */
function kindOf(reason: string): ProblemKind {
  const name = reason.replace(/^FieldValue/, "");
  return (name === "NotSupported" ? "Unsupported" : name) as ProblemKind;
}
