/**
 * Whose turn a message waits for, as its record tells: recovery numbers the lanes of a million messages by
 * these bytes, and builds a name for each lane only. Pure.
 */
import { Fields } from "./messageDecoder.ts";
import { recipientsStart, skipRecipient } from "./messageFacts.ts";
import { at, FIXED_BYTES, flag, recipientFlag } from "./messageFormat.ts";

/** Whose turn a message waits for: who sent it, in which class, and the domain of the recipient that is due first. */
export interface LaneName {
  readonly sendingDomain: string | null;
  readonly credential: string | null;
  readonly queueClass?: string;
  readonly domain: string;
  /** As they stand in a record: flags, the sender's with their lengths, then the domain's. */
  readonly bytes: Buffer;
  readonly flags: number;
}

const laneFlags = flag.sendingDomain | flag.credential | flag.queueClass;
const flagsOf = (payload: Buffer) => payload.readUInt16BE(at.flags) & laneFlags;

/** Finds it in a message record, without a string or an object for each of a million. */
export class LaneBytes {
  #tenantEnd = FIXED_BYTES;
  #domainStart = 0;
  #domainEnd = 0;

  find(payload: Buffer): void {
    let position = recipientsStart(payload);
    this.#tenantEnd = position;
    for (let skip = payload.readUInt32BE(at.dueIndex); skip > 0; skip--)
      position = skipRecipient(payload, position);
    const flags = payload[position] ?? 0;
    position += 12;
    let length = payload.readUInt16BE(position);
    position += 2;
    let start = position;
    if ((flags & recipientFlag.ownDomain) === 0) {
      start = position + length;
      while (start > position && payload[start - 1] !== 0x40) start--;
    } else {
      position += length;
      length = payload.readUInt16BE(position);
      position += 2;
      start = position;
    }
    this.#domainStart = start;
    this.#domainEnd = position + length;
  }

  hash(payload: Buffer): number {
    let hash = 0;
    for (let position = FIXED_BYTES; position < this.#tenantEnd; position++)
      hash = Math.imul(hash ^ (payload[position] ?? 0), 0x0100_0193);
    for (let position = this.#domainStart; position < this.#domainEnd; position++)
      hash = Math.imul(hash ^ (payload[position] ?? 0), 0x0100_0193);
    return hash;
  }

  equals(payload: Buffer, { bytes, flags }: LaneName): boolean {
    if (flags !== flagsOf(payload)) return false;
    const tenantBytes = this.#tenantEnd - FIXED_BYTES;
    if (bytes.length !== tenantBytes + this.#domainEnd - this.#domainStart) return false;
    for (let index = 0; index < bytes.length; index++) {
      const from = index < tenantBytes ? FIXED_BYTES + index : this.#domainStart + index - tenantBytes;
      if (bytes[index] !== payload[from]) return false;
    }
    return true;
  }

  name(payload: Buffer): LaneName {
    const flags = flagsOf(payload);
    const fields = new Fields(payload, FIXED_BYTES);
    const domain = payload.subarray(this.#domainStart, this.#domainEnd);
    const text = (each: number) => ((flags & each) === 0 ? null : fields.text());
    const sendingDomain = text(flag.sendingDomain);
    const credential = text(flag.credential);
    const queueClass = text(flag.queueClass);
    return {
      ...{ sendingDomain, credential, flags },
      ...(queueClass === null ? {} : { queueClass }),
      domain: domain.toString(),
      bytes: Buffer.concat([payload.subarray(FIXED_BYTES, this.#tenantEnd), domain]),
    };
  }
}
