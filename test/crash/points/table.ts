/**
 * Every named instant at which the suite can end our relay. One table: what is in it is drawn, counted and
 * reported, and a point that was never hit is a failure of the run.
 *
 *   WHERE.WHAT.before    nothing of it was done yet
 *   WHERE.write.torn     half of the bytes were written
 *   WHERE.WHAT.after     done, and nobody was told yet
 */

/** Files of the spool by what they are. */
export type Where = "log" | "segment" | "message" | "checkpoint" | "birth";
type FileStep = "create" | "write" | "sync" | "rename" | "remove" | "truncate";
type Step =
  | `${Where}.${FileStep}`
  | "folder.sync"
  | "reply"
  | "commit"
  | "tombstone"
  | "deferral"
  | "compaction"
  | "compaction.move"
  | "recovery"
  | "recovery.log.create"
  | "recovery.log.write"
  | "recovery.log.sync"
  | "recovery.read"
  | "recovery.folder.sync"
  | "recovery.remove"
  | "lock"
  | "lock.link"
  | "lock.rename"
  | "lock.rm";
export type Point = `${Step}.${"before" | "after"}` | `${Where}.write.torn`;

export interface PointUse {
  readonly point: Point;
  readonly what: string;
  /** It is passed so often in a life that one of so many is drawn. */
  readonly among: number;
  /** Only a life on an empty folder passes it. */
  readonly firstLife?: true;
  /** A write to this kind of file fails first: only a sick disk leads here. */
  readonly failing?: "log" | "segment";
}

type Extra = Pick<PointUse, "firstLife" | "failing">;

function around(step: Step, among: number, what: string, extra: Extra = {}): PointUse[] {
  return (["before", "after"] as const).map((side) => ({
    point: `${step}.${side}` as const,
    what,
    among,
    ...extra,
  }));
}

function torn(where: Where, among: number, what: string, extra: Extra = {}): PointUse {
  return { point: `${where}.write.torn`, what, among, ...extra };
}

export const points: readonly PointUse[] = [
  // Taking a message.
  ...around("segment.create", 2, "a new segment, at the start or at a roll"),
  ...around("segment.write", 12, "content of a batch"),
  torn("segment", 12, "half of a batch's content"),
  ...around("segment.sync", 12, "content of a batch made durable"),
  ...around("log.write", 24, "records of a batch"),
  torn("log", 24, "half of a batch's records"),
  ...around("log.sync", 24, "records of a batch made durable"),
  ...around("message.create", 1, "a large message gets a file of its own"),
  ...around("message.write", 3, "content of a large message"),
  torn("message", 3, "half of a write of a large message"),
  ...around("message.sync", 1, "a large message made durable"),
  ...around("folder.sync", 3, "names made durable"),
  ...around("commit", 12, "a message is durable, its client not told"),
  ...around("reply", 12, "the 250"),
  // Ending it.
  ...around("tombstone", 12, "all recipients of a message final"),
  ...around("deferral", 2, "a recipient deferred or one of several final"),
  ...around("message.remove", 1, "the file of a large message deleted"),
  ...around("segment.remove", 2, "a segment without live messages deleted"),
  // Keeping house.
  ...around("log.create", 1, "the next log, before a checkpoint"),
  ...around("checkpoint.create", 1, "a checkpoint begun"),
  ...around("checkpoint.write", 2, "a part of it"),
  torn("checkpoint", 2, "half of a part of it"),
  ...around("checkpoint.sync", 1, "a checkpoint made durable"),
  ...around("checkpoint.rename", 1, "a checkpoint gets its name"),
  ...around("log.remove", 1, "a log that the checkpoint covers deleted"),
  ...around("checkpoint.remove", 1, "the checkpoint before deleted"),
  ...around("compaction", 1, "a mostly dead segment copied together"),
  ...around("compaction.move", 4, "one message of it"),
  // Starting again.
  ...around("lock", 1, "the lock of the folder, most often over a dead owner's"),
  ...around("lock.link", 2, "the lock file linked into place"),
  ...around("lock.rename", 1, "a dead owner's lock moved aside"),
  ...around("lock.rm", 2, "a lock file deleted"),
  ...around("recovery", 1, "the whole recovery"),
  ...around("recovery.read", 6, "one read of it"),
  ...around("recovery.remove", 1, "what nobody needs any more deleted"),
  ...around("recovery.log.create", 1, "the log of the new life"),
  ...around("recovery.log.write", 1, "its header"),
  ...around("recovery.log.sync", 1, "its header made durable"),
  ...around("recovery.folder.sync", 1, "its name made durable"),
  ...around("birth.create", 1, "a folder becomes a spool", { firstLife: true }),
  ...around("birth.write", 1, "its birth certificate", { firstLife: true }),
  torn("birth", 1, "half of it", { firstLife: true }),
  ...around("birth.sync", 1, "it made durable", { firstLife: true }),
  ...around("birth.rename", 1, "it gets its name", { firstLife: true }),
  // A disk that fails a write: the batch is given up, its bytes are cut off.
  ...around("log.truncate", 1, "records of a failed batch cut off", { failing: "log" }),
  ...around("segment.truncate", 1, "content of a failed batch cut off", { failing: "segment" }),
];
