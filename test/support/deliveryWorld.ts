/**
 * A deliverer, its clock and scripted peers, tidied up after each test:
 *
 *   const world = deliveryWorld();
 *   afterEach(() => world.end());
 */
import { silentLog } from "../../relay/kit/log.ts";
import { createDeliverer, type DelivererOptions } from "../../relay/smtp/deliver.ts";
import type { Deliverer, DeliveryResult } from "../../relay/smtp/delivery.ts";
import { deliveryJob, type JobWishes } from "./deliveryJob.ts";
import { FakeClock } from "./fakeClock.ts";
import type { PeerScript, SmtpPeer } from "./smtpPeer.ts";

export interface DeliveryWorld {
  readonly started: (
    script: PeerScript,
    at?: { readonly host?: string; readonly port?: number },
  ) => Promise<SmtpPeer>;
  /** Peers on 127.0.0.1, 127.0.0.2 … at one port, as the MX hosts of a site. */
  readonly site: <const Scripts extends readonly PeerScript[]>(
    ...scripts: Scripts
  ) => Promise<{ [Index in keyof Scripts]: SmtpPeer }>;
  readonly deliverer: (options?: Partial<DelivererOptions>) => {
    readonly clock: FakeClock;
    readonly deliverer: Deliverer;
  };
  /** Delivers one message to one peer. */
  readonly attempt: (
    script: PeerScript,
    wishes?: JobWishes,
    options?: Partial<DelivererOptions>,
  ) => Promise<{ readonly peer: SmtpPeer; readonly result: DeliveryResult }>;
  readonly end: () => Promise<void>;
}

export function deliveryWorld(): DeliveryWorld {
  const endings: (() => Promise<void>)[] = [];
  const world: DeliveryWorld = {
    async started(script, at) {
      const peer = await script.start(at);
      endings.push(() => peer.stop());
      return peer;
    },
    async site(...scripts) {
      const peers: SmtpPeer[] = [];
      for (const [index, script] of scripts.entries()) {
        const port = peers[0]?.port ?? 0;
        peers.push(await world.started(script, { host: `127.0.0.${index + 1}`, port }));
      }
      return peers as { [Index in keyof typeof scripts]: SmtpPeer };
    },
    deliverer(options = {}) {
      const clock = new FakeClock();
      const deliverer = createDeliverer({ clock, log: silentLog, ...options });
      // Goodbyes are bounded by the clock: let their time pass.
      endings.push(async () => {
        const closed = deliverer.close();
        await clock.advance(60_000);
        await closed;
      });
      return { clock, deliverer };
    },
    async attempt(script, wishes, options) {
      const peer = await world.started(script);
      const { deliverer } = world.deliverer(options);
      return { peer, result: await deliverer.deliver(deliveryJob([peer], wishes)) };
    },
    async end() {
      for (const end of endings.splice(0).toReversed()) await end();
    },
  };
  return world;
}

/** A reply as an outcome, as far as most tests look at it. */
export function refusal(stage: string, code: number, enhanced: string | null) {
  return { kind: "replied", stage, reply: { code, enhanced } };
}
