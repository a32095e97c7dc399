/**
 * Events (events.k8s.io/v1), told sparingly. The same fact about the same object is one Event: its repeats
 * make it a series, whose count is written at the second sighting and then once in five minutes at most.
 * An object that has much to tell is cut short: 25 Events at once, then one in five minutes.
 *
 * Recording returns at once; writes run one after the other behind it, and a queue that is full, or a write
 * that fails, drops the Event. Events are hints; conditions are the truth.
 */
import { createHash } from "node:crypto";

import type { Clock } from "../../../relay/kit/clock.ts";
import type { Log } from "../../../relay/kit/log.ts";
import type { EventFact, EventRecorder } from "../../reconcile/events.ts";
import type { ApplyObject, KubeClient } from "../kubeClient.ts";
import { events } from "./clusterClient.ts";
import { microTime } from "./microTime.ts";

export interface RecorderOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly log: Log;
  /** Of this process, at most 128 characters. */
  readonly instance: string;
}

export interface ClusterRecorder extends EventRecorder {
  /** Resolves when what was recorded so far is written or dropped. */
  settled(): Promise<void>;
  /** Takes nothing more. */
  stop(): void;
}

const CONTROLLER = "smtprelay.dev/operator";
const EVENT_MANAGER = "smtp-relay-operator-events";
/** Sightings further apart than this are two Events. */
const SERIES_GAP_MS = 600_000;
const SERIES_REFRESH_MS = 300_000;
const BURST = 25;
const REFILL_MS = 300_000;
/** Bounds of what is remembered and what waits. */
const MOST_SERIES = 4096;
const MOST_WAITING = 500;
/** Bounds of the API. */
const LONGEST_NOTE = 1024;
const LONGEST_WORD = 128;
const LONGEST_NAME = 253;

interface Series {
  readonly object: ApplyObject;
  count: number;
  lastSeen: number;
  lastWritten: number;
}

export function createRecorder(options: RecorderOptions): ClusterRecorder {
  const { client, clock, log } = options;
  const known = new Map<string, Series>();
  const buckets = new Map<string, { tokens: number; at: number }>();
  let writing: Promise<void> = Promise.resolve();
  let waiting = 0;
  let stopped = false;

  /** One Event of the object's allowance; false when it has none left. */
  const allowed = (object: string, now: number): boolean => {
    const bucket = buckets.get(object) ?? { tokens: BURST, at: now };
    const refilled = Math.floor(Math.max(0, now - bucket.at) / REFILL_MS);
    const tokens = Math.min(BURST, bucket.tokens + refilled);
    const at = tokens === BURST ? now : bucket.at + refilled * REFILL_MS;
    keep(buckets, object, { tokens: Math.max(0, tokens - 1), at });
    return tokens > 0;
  };

  const write = (object: ApplyObject): void => {
    if (waiting >= MOST_WAITING) return;
    waiting += 1;
    const before = writing;
    writing = (async () => {
      await before;
      try {
        if (!stopped) await client.apply(object, EVENT_MANAGER);
      } catch (error) {
        log.debug("event dropped", { reason: String(object["reason"]), error });
      } finally {
        waiting -= 1;
      }
    })();
  };

  return {
    record(fact) {
      if (stopped) return;
      const now = clock.now();
      const { uid = "", namespace = "" } = fact.regarding.metadata;
      const id = [namespace, uid, fact.type, fact.reason, fact.action].join("\n");
      const series = known.get(id);
      if (series === undefined || now - series.lastSeen > SERIES_GAP_MS) {
        if (!allowed(uid, now)) return;
        const object = eventOf(fact, now, options.instance);
        keep(known, id, { object, count: 1, lastSeen: now, lastWritten: now });
        write(object);
        return;
      }
      series.count += 1;
      series.lastSeen = now;
      if (series.count > 2 && now - series.lastWritten < SERIES_REFRESH_MS) return;
      series.lastWritten = now;
      write({ ...series.object, series: { count: series.count, lastObservedTime: microTime(now) } });
    },
    settled: () => writing,
    stop() {
      stopped = true;
    },
  };
}

function eventOf(fact: EventFact, now: number, instance: string): ApplyObject {
  const { regarding, type, reason, action, note } = fact;
  const { name, namespace = "default", uid, resourceVersion } = regarding.metadata;
  const hash = createHash("sha256")
    .update([uid, type, reason, action, now, instance].join("\n"))
    .digest("hex")
    .slice(0, 16);
  return {
    apiVersion: events.apiVersion,
    kind: events.kind,
    metadata: { name: `${name.slice(0, LONGEST_NAME - 17).replace(/[.-]+$/, "")}.${hash}`, namespace },
    eventTime: microTime(now),
    reportingController: CONTROLLER,
    reportingInstance: instance.slice(0, LONGEST_WORD),
    action: action.slice(0, LONGEST_WORD),
    reason: reason.slice(0, LONGEST_WORD),
    type,
    note: note.length > LONGEST_NOTE ? `${note.slice(0, LONGEST_NOTE - 1)}…` : note,
    regarding: {
      apiVersion: regarding.apiVersion,
      kind: regarding.kind,
      namespace,
      name,
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
  };
}

/** Puts the newest last and forgets the oldest beyond the bound. */
function keep<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MOST_SERIES) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
