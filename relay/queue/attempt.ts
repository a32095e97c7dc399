/**
 * One transaction: sign, hand to the deliverer, watch that it moves. Never rejects: what cannot even
 * start for reasons of our own ends as `local`, which is no attempt.
 */
import { Readable } from "node:stream";

import type { EgressSource, RelayConfig } from "../contract/config.ts";
import type { Clock } from "../kit/clock.ts";
import type { Outcome, QueuedMessage, Recipient, SmtpStage } from "../message.ts";
import type { DeliveryJob, DeliveryResult } from "../smtp/delivery.ts";
import type { EnginePorts } from "./enginePorts.ts";
import type { SiteQueue } from "./siteQueue.ts";

export interface AttemptOrder {
  readonly message: QueuedMessage;
  readonly recipients: readonly Recipient[];
  readonly queue: SiteQueue;
  readonly source: EgressSource;
  readonly config: RelayConfig;
  /** Aborted when the engine stops. */
  readonly signal: AbortSignal;
}

export type AttemptEnd =
  | { readonly kind: "done"; readonly result: DeliveryResult }
  /** Our own fault: no signature, no password. */
  | { readonly kind: "local"; readonly reason: string };

// RFC 5321 §4.5.3.2.6: after the final dot a server may take ten minutes; half of it again is ours.
const WATCHDOG_MS = 15 * 60_000;
/** A deliverer that does not even end when told to is left behind after this. */
const ABANDON_MS = 60_000;

export async function attempt(ports: EnginePorts, order: AttemptOrder): Promise<AttemptEnd> {
  let signature: Buffer;
  let auth: DeliveryJob["auth"];
  try {
    signature = await ports.sign(order.message, order.config);
    auth = await readAuth(ports, order);
  } catch (error) {
    return { kind: "local", reason: error instanceof Error ? error.message : String(error) };
  }
  const watchdog = watch(ports.clock, order.signal);
  try {
    const job = describe(ports, order, signature, auth, watchdog);
    const result = await Promise.race([ports.deliverer.deliver(job), watchdog.abandoned]);
    if (result === null)
      return { kind: "done", result: broken(order, "the transaction did not end when told to") };
    // To the deliverer it was us who ended it; to the site's record it is a session that failed.
    return { kind: "done", result: watchdog.barked() ? { ...result, failedAt: brokeAt(result) } : result };
  } catch (error) {
    // The port says it never rejects; if it does, the mail shall still be tried again.
    ports.log.error("the deliverer failed", { id: order.message.id, error });
    return { kind: "done", result: broken(order, error instanceof Error ? error.message : String(error)) };
  } finally {
    watchdog.stop();
  }
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

interface Watchdog {
  readonly signal: AbortSignal;
  /** Whether it ended the transaction for not moving. */
  readonly barked: () => boolean;
  /** Says that something happened. */
  readonly moved: () => void;
  /** Resolves with null when the deliverer is to be left behind. */
  readonly abandoned: Promise<null>;
  stop(): void;
}

/** Aborts what does not move, and what the engine stops. */
function watch(clock: Clock, stop: AbortSignal): Watchdog {
  const controller = new AbortController();
  let lastMoved = clock.now();
  let barked = false;
  let cancel = () => {};
  let leave: (value: null) => void = () => {};
  const abandoned = new Promise<null>((resolve) => (leave = resolve));
  const abort = () => {
    if (controller.signal.aborted) return;
    controller.abort();
    cancel();
    cancel = clock.after(ABANDON_MS, () => leave(null));
  };
  const arm = () => {
    cancel = clock.after(lastMoved + WATCHDOG_MS - clock.now(), () => {
      barked = clock.now() - lastMoved >= WATCHDOG_MS;
      if (barked) abort();
      else arm();
    });
  };
  arm();
  if (stop.aborted) abort();
  else stop.addEventListener("abort", abort, { once: true });
  return {
    signal: controller.signal,
    barked: () => barked,
    moved: () => (lastMoved = clock.now()),
    abandoned,
    stop() {
      cancel();
      stop.removeEventListener("abort", abort);
    },
  };
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
    dsnTaken: false,
  };
}
