/** Builds messages and updates from their records (messageFormat.ts). Pure. */
import type {
  Envelope,
  LastAttempt,
  Notify,
  QueuedMessage,
  Recipient,
  RecipientState,
} from "../../message.ts";
import { unpackId } from "../idTable.ts";
import type { RecipientUpdate } from "../spool.ts";
import type { ContentLocation } from "./contentLocation.ts";
import { at, domainOf, FIXED_BYTES, flag, notifyBits, recipientFlag, states } from "./messageFormat.ts";

const words = new Uint32Array(4);

export function decodeMessage(payload: Buffer): {
  readonly message: QueuedMessage;
  readonly content: ContentLocation;
} {
  const fields = new Fields(payload);
  const id = fields.id();
  const segment = fields.number(4);
  const offset = fields.number(4);
  const sizeBytes = fields.number(6);
  const headerBytes = fields.number(4);
  const receivedAt = fields.number(6);
  const expiresAt = fields.number(6);
  const flags = fields.number(2);
  const has = (bit: number) => (flags & bit) !== 0;
  const count = fields.number(4);
  fields.bytes(FIXED_BYTES - at.waiting);
  const sendingDomain = has(flag.sendingDomain) ? fields.text() : null;
  const credential = has(flag.credential) ? fields.text() : null;
  const queueClass = has(flag.queueClass) ? fields.text() : undefined;
  const recipients = Array.from({ length: count }, () => decodeRecipient(fields));
  const from = fields.text();
  const envid = has(flag.envid) ? fields.text() : undefined;
  const bodyHash = has(flag.rawHash) ? fields.bytes(32).toString("base64") : fields.text();
  const ret = has(flag.retFull) ? "FULL" : has(flag.retHdrs) ? "HDRS" : undefined;
  const envelope: Envelope = {
    from,
    ...(ret === undefined ? {} : { ret }),
    ...(envid === undefined ? {} : { envid }),
    smtpUtf8: has(flag.smtpUtf8),
    eightBitMime: has(flag.eightBitMime),
    requireTls: has(flag.requireTls),
  };
  return {
    message: {
      ...{ id, receivedAt, expiresAt, envelope, credential, sendingDomain },
      ...{ sizeBytes, headerBytes, bodyHash, recipients },
      ...(queueClass === undefined ? {} : { queueClass }),
    },
    content: segment === 0 ? null : { segment, offset },
  };
}

function decodeRecipient(fields: Fields): Recipient {
  const flags = fields.number(1);
  const has = (bit: number) => (flags & bit) !== 0;
  const state = fields.state();
  const attempts = fields.number(4);
  const address = fields.text();
  const domain = has(recipientFlag.ownDomain) ? fields.text() : domainOf(address);
  const notify = has(recipientFlag.notify) ? notifyOf(fields.number(1)) : undefined;
  const orcpt = has(recipientFlag.orcpt) ? fields.text() : undefined;
  const last = has(recipientFlag.last) ? fields.last() : null;
  return {
    address,
    domain,
    ...(notify === undefined ? {} : { notify }),
    ...(orcpt === undefined ? {} : { orcpt }),
    ...{ state, attempts, last },
  };
}

function notifyOf(bits: number): Notify[] {
  return (Object.keys(notifyBits) as Notify[]).filter((word) => (bits & notifyBits[word]) !== 0);
}

export function decodeUpdate(payload: Buffer): RecipientUpdate {
  const fields = new Fields(payload);
  const id = fields.id();
  const count = fields.number(2);
  const changes = Array.from({ length: count }, () => {
    const index = fields.number(4);
    const state = fields.state();
    const attempts = fields.number(4);
    return { index, recipient: { state, attempts, last: fields.last() } };
  });
  return { id, changes };
}

/** The id in front of a message, update or removal. */
export function readId(payload: Buffer): string {
  return new Fields(payload).id();
}

/** The fields of a record, one after the other. */
export class Fields {
  readonly #bytes: Buffer;
  #position: number;

  constructor(bytes: Buffer, position = 0) {
    this.#bytes = bytes;
    this.#position = position;
  }

  number(bytes: number): number {
    const value = this.#bytes.readUIntBE(this.#position, bytes);
    this.#position += bytes;
    return value;
  }

  text(lengthBytes: 2 | 4 = 2): string {
    return this.bytes(this.number(lengthBytes)).toString();
  }

  bytes(length: number): Buffer {
    const start = this.#position;
    this.#position += length;
    return this.#bytes.subarray(start, this.#position);
  }

  id(): string {
    for (let word = 0; word < 4; word++) words[word] = this.number(4);
    return unpackId(words);
  }

  state(): RecipientState {
    const name = states[this.number(1)];
    const time = this.number(6);
    switch (name) {
      case "waiting":
        return { kind: name, dueAt: time };
      case "delivered":
        return { kind: name, at: time };
      case "Refused":
      case "Expired":
      case "Operator":
        return { kind: "bounced", at: time, reason: name };
      default:
        throw new Error("Cannot read a recipient: its state is none that this release knows.");
    }
  }

  last(): LastAttempt | null {
    const text = this.text(4);
    return text === "" ? null : (JSON.parse(text) as LastAttempt);
  }
}
