/** The numbers of an SmtpRelay's status, held still between moves (figures.ts). */
import type { SmtpRelayStatus } from "../../crds/smtpRelay.ts";
import type { RelayWorld } from "../world.ts";
import { timestampOf } from "../warmup/days.ts";
import type { Aggregate } from "./aggregateReports.ts";
import { ageText, type Figure, figuresMove, movementOf, roundCount } from "./figures.ts";

export interface RelayFigures {
  readonly queue: NonNullable<SmtpRelayStatus["queue"]> | undefined;
  /** Messages by pod, of pods that said so. */
  readonly queued: ReadonlyMap<string, number>;
  readonly figuresAt: string | undefined;
  /** Texts with other numbers may follow now too. */
  readonly textsMayMove: boolean;
}

/** `textMoved`: a message with raw numbers in it would read differently now. */
export function relayFigures(world: RelayWorld, aggregate: Aggregate, textMoved: boolean): RelayFigures {
  const before = world.relay.status;
  const queuedBefore = new Map(
    before?.pods?.flatMap((pod) => (pod.queued === undefined ? [] : [[pod.name, pod.queued]])),
  );
  const queuedNow = new Map(
    [...aggregate.reports].map(([pod, report]) => [pod, roundCount(report.queue.messages)]),
  );
  const messages = roundCount(aggregate.messages);
  const figures: Figure[] = [
    { before: before?.queue?.messages, now: messages, kind: "count" },
    { before: before?.queue?.oldestSeconds ?? 0, now: aggregate.oldestSeconds ?? 0, kind: "age" },
    ...[...queuedNow].map(([pod, now]) => ({ before: queuedBefore.get(pod), now, kind: "count" as const })),
  ];
  const movements = figures.map(movementOf);
  if (textMoved) movements.push("inAMinute");
  const moves =
    aggregate.reports.size > 0 &&
    figuresMove(movements, before?.figuresAt, world.now, world.environment.figuresSeconds);
  if (!moves) {
    return { queue: before?.queue, queued: queuedBefore, figuresAt: before?.figuresAt, textsMayMove: false };
  }
  const oldest = aggregate.oldestSeconds;
  return {
    queue: {
      messages,
      ...(oldest === null ? {} : { oldestSeconds: oldest, oldest: ageText(oldest) }),
    },
    // A pod that is silent keeps what it said last.
    queued: new Map([...queuedBefore, ...queuedNow]),
    figuresAt: timestampOf(world.now),
    textsMayMove: true,
  };
}
