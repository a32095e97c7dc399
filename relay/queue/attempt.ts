/**
 * One transaction: sign, hand to the deliverer, watch that it moves. Never rejects: what cannot even
 * start for reasons of our own ends as `local`, which is no attempt.
 */
import { Readable } from "node:stream";

import type { EgressSource, RelayConfig } from "../contract/config.ts";
import type { Outcome, QueuedMessage, Recipient, SmtpStage } from "../message.ts";
import type { DeliveryJob, DeliveryResult } from "../smtp/delivery.ts";
import type { EnginePorts } from "./enginePorts.ts";
import type { SiteQueue } from "./siteQueue.ts";
import { watch, type Watchdog } from "./watchdog.ts";

export interface AttemptOrder {
  readonly message: QueuedMessage;
  readonly recipients: readonly Recipient[];
  readonly queue: SiteQueue;
  readonly source: EgressSource;
  readonly config: RelayConfig;
  /** Resolves when the spool has promised the allowance this spends. */
  readonly promised: Promise<void>;
  /** Aborted when the engine stops. */
  readonly signal: AbortSignal;
}

export type AttemptEnd =
  | { readonly kind: "done"; readonly result: DeliveryResult }
  /** Our own fault: no signature, no password. */
  | { readonly kind: "local"; readonly reason: string }
  /** The spool did not promise the allowance. */
  | { readonly kind: "unpromised"; readonly reason: string }
  /** The engine stops, and nothing was begun. */
  | { readonly kind: "stopped" };

export async function attempt(ports: EnginePorts, order: AttemptOrder): Promise<AttemptEnd> {
  const watchdog = watch(ports.clock, order.signal);
  try {
    const ready = await Promise.race([prepare(ports, order), watchdog.abandoned]);
    if (ready === null) {
      const bark = tell(ports, order, watchdog);
      return bark === null ? { kind: "stopped" } : { kind: "local", reason: `the message ${bark.fact}` };
    }
    if (ready.kind !== "ready") return ready;
    watchdog.prepared(order.message.sizeBytes);
    const job = describe(ports, order, ready.signature, ready.auth, watchdog);
    const result =
      (await Promise.race([ports.deliverer.deliver(job), watchdog.abandoned])) ??
      broken(order, "the transaction did not end when told to");
    const bark = tell(ports, order, watchdog);
    if (bark === null) return { kind: "done", result };
    // To the deliverer it was us who ended it; to the site's record it is a session that failed.
    const outcomes = result.outcomes.map((outcome) =>
      outcome.kind === "unreachable"
        ? { ...outcome, reason: `ended by the watchdog, it ${bark.fact} (${outcome.reason})` }
        : outcome,
    );
    return { kind: "done", result: { ...result, outcomes, failedAt: brokeAt(result) } };
  } catch (error) {
    // The port says it never rejects; if it does, the mail shall still be tried again.
    ports.log.error("the deliverer failed", { id: order.message.id, error });
    return { kind: "done", result: broken(order, error instanceof Error ? error.message : String(error)) };
  } finally {
    watchdog.stop();
  }
}

/** All that has to be there before the peer is asked. Never rejects. */
async function prepare(
  ports: EnginePorts,
  order: AttemptOrder,
): Promise<
  AttemptEnd | { readonly kind: "ready"; readonly signature: Buffer; readonly auth: DeliveryJob["auth"] }
> {
  try {
    await order.promised;
  } catch (error) {
    return { kind: "unpromised", reason: error instanceof Error ? error.message : String(error) };
  }
  try {
    const signature = await ports.sign(order.message, order.config);
    return { kind: "ready", signature, auth: await readAuth(ports, order) };
  } catch (error) {
    return { kind: "local", reason: error instanceof Error ? error.message : String(error) };
  }
}

/** Log and metric of what the watchdog ended; null when it was quiet. */
function tell(ports: EnginePorts, { message, queue, source }: AttemptOrder, watchdog: Watchdog) {
  const bark = watchdog.barked();
  if (bark === null) return null;
  ports.metrics.watchdog({ what: bark.what });
  ports.log.warn("the watchdog ended an attempt", {
    id: message.id,
    site: queue.site,
    source: source.name,
    what: bark.what,
    fact: bark.fact,
  });
  return bark;
}

async function readAuth(ports: EnginePorts, order: AttemptOrder): Promise<DeliveryJob["auth"]> {
  const { to } = order.queue.route;
  if (to.kind === "pool" || to.username === null || to.passwordFile === null) return null;
  return { username: to.username, password: await ports.readSecret(to.passwordFile) };
}

function describe(
  ports: EnginePorts,
  { message, recipients, queue, source, config }: AttemptOrder,
  signature: Buffer,
  auth: DeliveryJob["auth"],
  watchdog: Watchdog,
): DeliveryJob {
  const { to } = queue.route;
  const { minVersion, mode } = config.tlsOutbound;
  return {
    source: { name: source.name, address: source.address, ehloName: source.ehloName },
    site: queue.site,
    hosts: queue.hosts,
    port: to.kind === "pool" ? config.delivery.port : to.port,
    tls:
      to.kind === "pool"
        ? { mode, implicit: false, minVersion }
        : { mode: to.tls, implicit: to.port === 465, minVersion },
    auth,
    envelope: message.envelope,
    sizeBytes: signature.length + message.sizeBytes,
    recipients: recipients.map(({ address, notify, orcpt }) => ({
      address,
      ...(notify === undefined ? {} : { notify }),
      ...(orcpt === undefined ? {} : { orcpt }),
    })),
    contentAtHand() {
      const pieces = ports.spool.atHand(message.id);
      return pieces === null || signature.length === 0 ? pieces : [signature, ...pieces];
    },
    content: () => Readable.from(contentOf(ports, message, signature, watchdog), { objectMode: false }),
    signal: watchdog.signal,
    progress: watchdog.moved,
    messagesPerConnection: queue.provider.messagesPerConnection,
  };
}

async function* contentOf(
  ports: EnginePorts,
  message: QueuedMessage,
  signature: Buffer,
  watchdog: Watchdog,
): AsyncGenerator<Buffer> {
  if (signature.length > 0) yield signature;
  for await (const chunk of ports.spool.read(message.id)) {
    watchdog.moved();
    yield chunk as Buffer;
  }
}

function brokeAt({ failedAt, outcomes }: DeliveryResult): SmtpStage | null {
  const open = outcomes.find((outcome) => outcome.kind === "unreachable");
  return failedAt ?? (open?.kind === "unreachable" ? open.stage : null);
}

function broken({ recipients }: AttemptOrder, reason: string): DeliveryResult {
  const outcome: Outcome = { kind: "unreachable", stage: "reset", reason };
  return {
    outcomes: recipients.map(() => outcome),
    host: null,
    address: null,
    tls: null,
    failedAt: "reset",
    unbound: null,
    dsnTaken: false,
  };
}
