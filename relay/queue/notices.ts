/**
 * Delivery status notifications: who is owed one, and putting it into the own queue.
 *
 * A notice is stored before the failure it speaks of is recorded: a crash between the two may send it
 * twice, the other order could lose it, and with it the only word the sender ever gets.
 */
import type { RelayConfig } from "../contract/config.ts";
import { sleep } from "../kit/clock.ts";
import type { QueuedMessage, Recipient } from "../message.ts";
import { settled, type Verdict } from "../policy/decide.ts";
import { whoHearsOf } from "../policy/dsn.ts";
import type { ComposedBounce, EnginePorts } from "./enginePorts.ts";
import { SpoolError } from "./spool.ts";

export interface Notice {
  readonly recipient: Recipient;
  readonly action: "failed" | "relayed";
}

/** Header blocks longer than this are cut in the notice. */
const MOST_HEADER_BYTES = 64 * 1024;
/** A spool that takes no new message (a full disk) is asked again after this. */
const RETRY_MS = 30_000;

/** The notice a verdict owes the sender, or null. */
export function noticeOf(
  message: QueuedMessage,
  recipient: Recipient,
  verdict: Verdict,
  dsnTaken: boolean,
  now: number,
): Notice | null {
  const action = verdict.kind === "bounced" ? "failed" : verdict.kind === "delivered" ? "relayed" : null;
  // RFC 3461 §5.2.3: where the peer speaks DSN, telling of success is its duty; else it is ours.
  if (action === null || (action === "relayed" && dsnTaken)) return null;
  if (whoHearsOf(message.envelope, recipient, action) === null) return null;
  return { recipient: { ...recipient, ...settled(verdict, now) }, action };
}

/** Header block as queued, at most 64 KiB of it. Rejects when the spool cannot read it. */
export async function readHeader(
  ports: EnginePorts,
  message: QueuedMessage,
  most = MOST_HEADER_BYTES,
): Promise<Buffer> {
  const chunks: Buffer[] = [];
  const end = Math.min(message.headerBytes, most);
  for await (const chunk of ports.spool.read(message.id, { start: 0, end })) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/**
 * Composes one notice and commits it, however long the spool takes to accept it. Resolves with the queued
 * notice; "impossible" when it cannot be composed (logged); "stopped" when `signal` ended the waiting.
 */
export async function sendNotice(
  ports: EnginePorts,
  order: {
    readonly message: QueuedMessage;
    readonly header: Buffer;
    readonly notices: readonly Notice[];
    readonly config: RelayConfig;
    readonly signal: AbortSignal;
  },
): Promise<QueuedMessage | "stopped" | "impossible"> {
  const { message, header, config, signal } = order;
  let composed: ComposedBounce;
  try {
    composed = await ports.composeBounce({
      id: ports.newId(),
      at: ports.clock.now(),
      message,
      header,
      recipients: order.notices,
      config,
    });
  } catch (error) {
    ports.log.error("cannot compose a delivery status notification", { id: message.id, error });
    return "impossible";
  }
  for (;;) {
    try {
      await store(ports, composed);
      return composed.message;
    } catch (error) {
      if (!(error instanceof SpoolError)) {
        ports.log.error("cannot queue a delivery status notification", { id: message.id, error });
        return "impossible";
      }
      if (signal.aborted) return "stopped";
      await sleep(ports.clock, RETRY_MS, signal);
    }
  }
}

async function store(ports: EnginePorts, { message, content }: ComposedBounce): Promise<void> {
  const writer = await ports.spool.begin(message.id);
  try {
    for await (const chunk of content instanceof Uint8Array ? [content] : content) await writer.write(chunk);
    await writer.commit(message);
  } catch (error) {
    await writer.abort();
    throw error;
  }
}
