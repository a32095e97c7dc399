/**
 * Queue classes: which one a message is in, and what that means for it (priority, expiry, retries).
 *
 * A message says it itself by a header field, or its credential says it, or it is in the class `default`,
 * which is always there. A credential that has a class may lower its mail and not raise it: whoever runs
 * the relay put the mailing tool into `bulk` so that it stays there.
 */
import type { RelayConfig } from "../contract/config.ts";
import type { RetryPolicy } from "./retrySchedule.ts";

export type Priority = "High" | "Normal" | "Low";

export interface QueueClass {
  readonly name: string;
  readonly priority: Priority;
  readonly expireAfterSeconds: number;
  readonly retry: RetryPolicy;
}

/** By name; `default` is always one of them. */
export type QueueClasses = ReadonlyMap<string, QueueClass>;

export const DEFAULT_CLASS = "default";
/** The field that names a message's class; it is taken out before the message is stored. */
export const CLASS_FIELD = "X-Queue-Class";

/** First to last. */
export const priorities = ["High", "Normal", "Low"] as const satisfies readonly Priority[];

export function queueClasses(queue: RelayConfig["queue"]): QueueClasses {
  const { expireAfterSeconds, retry, classes = [] } = queue;
  const byName = new Map<string, QueueClass>([
    [DEFAULT_CLASS, { name: DEFAULT_CLASS, priority: "Normal", expireAfterSeconds, retry }],
  ]);
  for (const one of classes) {
    byName.set(one.name, {
      name: one.name,
      priority: one.priority,
      expireAfterSeconds: one.expireAfterSeconds ?? expireAfterSeconds,
      retry: one.retry ?? retry,
    });
  }
  return byName;
}

/** The class of queued mail. One that the configuration no longer has is treated as `default`. */
export function classOf(classes: QueueClasses, name: string | undefined): QueueClass {
  const found = classes.get(name ?? DEFAULT_CLASS) ?? classes.get(DEFAULT_CLASS);
  if (found === undefined) throw new Error("Cannot tell a queue class: there is no default class.");
  return found;
}

export type Classification =
  | { readonly kind: "classified"; readonly queueClass: QueueClass }
  /** The field names no class. */
  | { readonly kind: "unknown"; readonly named: string; readonly known: readonly string[] }
  /** The field names a class above the credential's own. */
  | { readonly kind: "above"; readonly named: QueueClass; readonly own: QueueClass };

/** `field` is the value of the header field, null where the message has none. */
export function classify(
  classes: QueueClasses,
  field: string | null,
  credentialClass: string | undefined,
): Classification {
  const own = classOf(classes, credentialClass);
  if (field === null) return { kind: "classified", queueClass: own };
  const named = classes.get(field.toLowerCase());
  if (named === undefined) return { kind: "unknown", named: field, known: [...classes.keys()] };
  if (credentialClass !== undefined && rankOf(named) < rankOf(own)) return { kind: "above", named, own };
  return { kind: "classified", queueClass: named };
}

/** 0 is the highest. */
export function rankOf({ priority }: Pick<QueueClass, "priority">): number {
  return priorities.indexOf(priority);
}
