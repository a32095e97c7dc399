/**
 * Answers that are refusals, translated once: the API server's Status object (or whatever a proxy before it
 * sent), a connection that broke, a time-out. Everything above sees KubeError only.
 */
import { KubeError, type KubeErrorReason } from "../kubeClient.ts";

/** Of Kubernetes' metav1.Status, what is read here. */
export interface StatusBody {
  readonly reason?: string;
  readonly message?: string;
  readonly code?: number;
  readonly details?: {
    readonly name?: string;
    readonly retryAfterSeconds?: number;
  };
}

const LONGEST_MESSAGE = 2000;

/** `body` is what the server sent, parsed if it was JSON. */
export function statusError(code: number, body: unknown, purpose: string): KubeError {
  const status = readStatus(body);
  const told = status.message ?? (typeof body === "string" ? body.trim() : "");
  const message = `Cannot ${purpose}: ${cut(told === "" ? `the server answered ${code}` : told)}`;
  return new KubeError(undeclared.test(told) ? "Invalid" : reasonOf(code, status.reason), code, message);
}

/** An apply with a field the schema does not have is answered with 500, as if the server were at fault. */
const undeclared = /^failed to create typed patch object/;

/** `body` as a Status; empty when it is something else. */
export function readStatus(body: unknown): StatusBody {
  if (typeof body !== "object" || body === null || !("kind" in body) || body.kind !== "Status") return {};
  const { reason, message, code, details } = body as Record<string, unknown>;
  const { name, retryAfterSeconds } = (typeof details === "object" && details !== null ? details : {}) as {
    name?: unknown;
    retryAfterSeconds?: unknown;
  };
  return {
    ...(typeof reason === "string" ? { reason } : {}),
    ...(typeof message === "string" ? { message } : {}),
    ...(typeof code === "number" ? { code } : {}),
    details: {
      ...(typeof name === "string" ? { name } : {}),
      ...(typeof retryAfterSeconds === "number" ? { retryAfterSeconds } : {}),
    },
  };
}

/** No answer came: the connection was refused or broke, or time ran out. */
export function unreachable(purpose: string, fact: string, cause?: unknown): KubeError {
  return new KubeError("Unavailable", 0, `Cannot ${purpose}: ${fact}`, { cause });
}

function reasonOf(code: number, reason: string | undefined): KubeErrorReason {
  switch (code) {
    case 400:
    case 413:
    case 415:
    case 422:
      return "Invalid";
    case 401:
    case 403:
      return "Forbidden";
    case 404:
      return "NotFound";
    case 409:
      return reason === "AlreadyExists" ? "AlreadyExists" : "Conflict";
    case 410:
      return "Expired";
    case 429:
      return "TooManyRequests";
    default:
      return code >= 500 ? "Unavailable" : "Unknown";
  }
}

function cut(text: string): string {
  return text.length > LONGEST_MESSAGE ? `${text.slice(0, LONGEST_MESSAGE)}…` : text;
}
