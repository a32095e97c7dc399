/**
 * The API server's audit log: the policy it is written by, and its lines as the tests read them. It is how
 * writes are counted: at steady state there must be none.
 */
import { readFileSync } from "node:fs";

/** Writes only, writes with what was sent (also Secrets: throw-away ones), or every call. */
export type AuditScope = "writes" | "contents" | "everything";

export interface AuditEvent {
  readonly auditID: string;
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string };
  readonly userAgent?: string;
  readonly sourceIPs?: readonly string[];
  readonly objectRef?: {
    readonly resource: string;
    readonly namespace?: string;
    readonly name?: string;
    readonly apiGroup?: string;
    readonly subresource?: string;
  };
  readonly responseStatus?: { readonly code?: number };
  /** What was sent, in scope "contents". */
  readonly requestObject?: unknown;
  /** Time of day with microseconds. */
  readonly requestReceivedTimestamp: string;
}

/** JSON is YAML, and the server reads YAML. */
export function auditPolicy(scope: AuditScope): string {
  const writes = ["create", "update", "patch", "delete", "deletecollection"];
  const rules = {
    writes: [{ level: "Metadata", verbs: writes }],
    contents: [{ level: "Request", verbs: writes }],
    everything: [{ level: "Metadata" }],
  };
  return JSON.stringify({
    apiVersion: "audit.k8s.io/v1",
    kind: "Policy",
    omitStages: ["RequestReceived", "ResponseStarted"],
    rules: rules[scope],
  });
}

/** Whole lines so far; one that is being written is left for later. */
export function readAudit(file: string): readonly AuditEvent[] {
  const text = readFileSync(file, "utf8");
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as AuditEvent);
}
