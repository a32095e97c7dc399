/**
 * One round: a fresh relay that is killed so many times under load, then let run until it is empty; then the
 * books are closed. Rounds are what lanes do side by side, and what a seed repeats.
 */
import type { Random } from "../../relay/kit/random.ts";
import { seededRandom } from "../support/seededRandom.ts";
import type { Deck, End } from "./deck.ts";
import { type DiskModel, type Faults, openDisk } from "./disk/disk.ts";
import type { PowerLoss } from "./disk/powerLoss.ts";
import { Ledger, type Totals } from "./ledger.ts";
import { Load } from "./load.ts";
import { startSink } from "./sink.ts";
import type { Life, Target, TargetKind } from "./targets.ts";

export interface RoundOptions {
  readonly kind: TargetKind;
  readonly kills: number;
  readonly seed: number;
  readonly deck: Deck;
  /** Port of the sink; undefined: any. */
  readonly sinkPort?: number;
  /** For this round alone, and for all. */
  readonly folder: string;
  readonly shared: string;
  readonly senderDomain: string;
  readonly recipientDomain: string;
  /** Shares of recipients that the sink defers, and refuses for good. */
  readonly later?: number;
  readonly never?: number;
  /** Nothing moved for so long, and mail is still open: it is lost. */
  readonly patienceMs?: number;
  /** Without word of its records, what ended so short before a kill is in flight. */
  readonly settleMs: number;
  /** A disk that loses power at each kill, and is sick now and then; undefined: the machine's. */
  readonly disk?: DiskModel;
  /** Whether that disk also fails syncs, fills up, turns read-only and is slow. */
  readonly sickness: boolean;
  readonly onKill: () => void;
}

export interface RoundResult {
  readonly totals: Totals;
  readonly troubles: readonly string[];
  /** Submissions that were answered with 4xx. */
  readonly refused: number;
  /** Lives by what ailed their disk. */
  readonly diseases: ReadonlyMap<string, number>;
  readonly powerLosses: readonly PowerLoss[];
}

/** A life whose point does not come is killed after so many messages. */
const POINT_PATIENCE_MESSAGES = 200;
/** In any case so long after the first greeting: the load rests while much waits, or the disk takes nothing. */
const WORK_PATIENCE_MS = 3000;
/** A relay that is not up by then does not come up. */
const START_PATIENCE_MS = 120_000;
/** Who cannot be asked whether it is empty is so when it sends nothing for so long. */
const QUIET_MS = 3000;
/** Who says it is empty while mail is still open has this long to think again. */
const DOUBT_MS = 10_000;
/** A restarted relay may have to wait for its own timers. */
const DRAIN_PATIENCE_MS = 30_000;

export async function runRound(options: RoundOptions): Promise<RoundResult> {
  const random = seededRandom(options.seed);
  const ledger = new Ledger();
  await using sink = await startSink(
    ledger,
    options.sinkPort === undefined ? {} : { port: options.sinkPort },
  );
  await using target = await options.kind({
    sinkPort: sink.port,
    folder: options.folder,
    shared: options.shared,
  });
  await using disk =
    options.disk === undefined
      ? undefined
      : await openDisk({ folder: options.shared, folders: target.spoolFolders, model: options.disk });
  const { host, port } = target;
  const load = new Load({
    ...{ host, port, random, ledger },
    sessions: 4,
    mostOpen: 120,
    senderDomain: options.senderDomain,
    recipientDomain: options.recipientDomain,
    later: options.later ?? 0.06,
    never: options.never ?? 0.04,
    largeBytes: 40_000,
  });
  const begin = (end?: End) =>
    target.start({
      aim: end?.kind === "point" ? end.aim : undefined,
      env: { ...disk?.env },
      onRecorded: (key) => ledger.recorded(key),
    });

  const powerLosses: PowerLoss[] = [];
  const diseases = new Map<string, number>();
  const said: string[] = [];
  let isEmpty = false;
  load.go();
  try {
    for (let kill = 0; kill < options.kills; kill++) {
      const end = options.deck.next(target.isFresh());
      const disease = disk !== undefined && options.sickness ? drawDisease(random) : health;
      diseases.set(disease.name, (diseases.get(disease.name) ?? 0) + 1);
      await disk?.setFaults(disease.fromTheStart ?? {});
      const acceptedBefore = load.accepted;
      const life = begin(end);
      const { later } = disease;
      let isOver = false;
      if (later !== undefined) {
        // The greeting may be that of the next life, which this disease is not for.
        void load.greeted().then(async () => (isOver ? undefined : disk?.setFaults(later)));
      }
      const diedItself = await until(life, load, end);
      isOver = true;
      load.forgetMilestones();
      if (diedItself && disease === health) throw new Error(`The relay does not start:\n${life.output()}`);
      const killedAt = performance.now();
      life.kill();
      await life.ended;
      await sink.drained();
      if (life.hit !== null) options.deck.hit(life.hit);
      ledger.lifeEnded(
        !diedItself,
        (key) => target.tellsRecords || (sink.endedAt.get(key) ?? 0) > killedAt - options.settleMs,
      );
      sink.forgetLife();
      if (disk !== undefined) {
        const loss = await disk.losePower(random);
        if (loss.entries === 0 && load.accepted > acceptedBefore) {
          throw new Error("The relay took mail and wrote nothing to the disk that was to lose power.");
        }
        powerLosses.push(loss);
      }
      options.onKill();
    }
    await load.end();
    const last = begin();
    isEmpty = await drain(last, target, ledger, sink, options.patienceMs ?? DRAIN_PATIENCE_MS);
    if (!isEmpty) said.push(`the relay says ${(await target.says?.()) ?? "nothing"}; ${last.output()}`);
    await last.stop();
  } finally {
    await load.end();
  }
  const { totals, troubles } = ledger.close(isEmpty);
  return { totals, troubles: [...said, ...troubles], refused: load.refused, diseases, powerLosses };
}

interface Disease {
  readonly name: string;
  readonly fromTheStart?: Faults;
  /** Once the relay works: one that cannot even take its lock has nothing to lose. */
  readonly later?: Faults;
}

const health: Disease = { name: "healthy" };

function drawDisease({ draw }: Random): Disease {
  const chance = draw();
  if (chance < 0.6) return health;
  if (chance < 0.75)
    return { name: "a sync fails", fromTheStart: { failSyncAt: 1 + Math.floor(draw() * 40) } };
  if (chance < 0.85) return { name: "slow", fromTheStart: { syncDelayMs: 1 + draw() * 20 } };
  if (chance < 0.93) return { name: "full", later: { roomKiB: Math.floor(draw() * 200) } };
  return { name: "read-only", later: { writeError: "EROFS" } };
}

/** Waits for the end that was drawn, or for as long as it is worth. Tells whether the relay ended by itself. */
async function until(life: Life, load: Load, end: End): Promise<boolean> {
  const died = life.ended.then(() => "died" as const);
  const diedItself = (end: string | void) => end === "died" && life.hit === null;
  if (end.kind === "starting") return diedItself(await Promise.race([died, sleep(end.afterMs)]));
  const first = await Promise.race([
    died,
    load.greeted(),
    sleep(START_PATIENCE_MS).then(() => "silent" as const),
  ]);
  if (first === "silent") {
    life.kill();
    throw new Error(`The relay does not greet:\n${life.output()}`);
  }
  if (first === "died") return diedItself(first);
  const work =
    end.kind === "working"
      ? load.progress(end.afterMessages).then(() => sleep(end.afterMs))
      : load.progress(POINT_PATIENCE_MESSAGES);
  return diedItself(await Promise.race([died, work, sleep(WORK_PATIENCE_MS)]));
}

/** Lets the relay run until it is empty, or nothing moves any more. Tells whether it holds nothing, as far as one knows. */
async function drain(
  life: Life,
  target: Target,
  ledger: Ledger,
  sink: { readonly lastEventAt: number },
  patienceMs: number,
): Promise<boolean> {
  const begun = performance.now();
  for (;;) {
    const isEmpty = await target.isEmpty();
    const silentMs = performance.now() - Math.max(begun, sink.lastEventAt);
    const isQuiet = silentMs > QUIET_MS;
    if (ledger.open === 0 && (isEmpty === true || (isEmpty === null && isQuiet))) return true;
    // It was perhaps asked between two of its queues.
    if (isEmpty === true && silentMs > DOUBT_MS) return true;
    if (silentMs > patienceMs) return isEmpty !== false;
    const ended = await Promise.race([life.ended.then(() => true), sleep(50).then(() => false)]);
    if (ended) throw new Error(`The relay ended by itself:\n${life.output()}`);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
