/** The sizes by which a file spool lives, with the values it has unless told otherwise. */

export interface SpoolLimits {
  /** New messages are refused when less is free, so that records of delivery still find room. */
  readonly reserveBytes: number;
  /** A segment is left when it has grown over this. */
  readonly segmentBytes: number;
  /** A batch is closed before it grows over this: larger ones take longer than they save. */
  readonly batchBytes: number;
  /** Larger messages get a file of their own. */
  readonly inlineBytes: number;
  /** Records of deliveries wait this long for a batch to ride with; 0: they are written at once. */
  readonly patienceMs: number;
  /** Memory for content that waits for its commit, over all messages. */
  readonly bufferedBytes: number;
  /** Memory for content that was committed and waits for its first delivery, over all messages. */
  readonly heldBytes: number;
  /** The metadata log is replaced by a checkpoint beyond this, and beyond twice the last one. */
  readonly checkpointBytes: number;
  /** Dead content that is left alone. */
  readonly compactionSlackBytes: number;
}

const MIB = 1024 * 1024;
export const defaultLimits: SpoolLimits = {
  reserveBytes: 64 * MIB,
  segmentBytes: 32 * MIB,
  batchBytes: MIB,
  inlineBytes: 256 * 1024,
  patienceMs: 20,
  bufferedBytes: 64 * MIB,
  heldBytes: 16 * MIB,
  checkpointBytes: 16 * MIB,
  compactionSlackBytes: 64 * MIB,
};
