/**
 * The relay as one thing with a configuration: receives a revision, puts it in force in every part or in
 * none, and says of itself which one that is. main.ts builds the parts and hands them over.
 */
import type { ConfigRead, GoodConfig } from "./config/read.ts";
import { describeDiff, diffConfig } from "./config/diff.ts";
import { REPORT_VERSION, type RelayReport } from "./contract/report.ts";
import type { Clock } from "./kit/clock.ts";
import type { Log } from "./kit/log.ts";
import type { Check } from "./kit/statusServer.ts";
import type { Engine } from "./queue/engine.ts";
import type { Spool } from "./queue/spool.ts";
import type { ConfigurableMxResolver } from "./smtp/resolveMx.ts";
import type { Receiver } from "./smtp/receive.ts";
import type { Signing } from "./signing.ts";

export interface ServiceParts {
  readonly clock: Clock;
  readonly log: Log;
  readonly podName: string;
  readonly spool: Spool;
  readonly engine: Engine;
  readonly receiver: Receiver;
  readonly resolver: ConfigurableMxResolver;
  readonly signing: Signing;
  /** Addresses of its interfaces; null: too many to tell. */
  readonly localAddresses: () => readonly string[] | null;
  /** Why the pod shall get no more sessions although all works, or null. */
  readonly overloaded: () => string | null;
  /** Counted as metrics. */
  readonly configOutcome: (outcome: "applied" | "refused") => void;
}

/** What was refused for a port is tried again, with doubling pauses: whoever has the port may let go of it. */
const AGAIN = { firstMs: 1000, longestMs: 60_000 } as const;

export class RelayService {
  readonly #parts: ServiceParts;
  readonly #startedAt: string;
  #inForce: GoodConfig | null = null;
  #refusal: string | null = null;
  #stopping = false;
  /** One configuration after the other. */
  #following: Promise<void> = Promise.resolve();
  #latest: ConfigRead | null = null;
  #cancelAgain = () => {};

  constructor(parts: ServiceParts) {
    this.#parts = parts;
    this.#startedAt = new Date(parts.clock.now()).toISOString();
  }

  get config(): GoodConfig | null {
    return this.#inForce;
  }

  /**
   * Puts a configuration in force, or keeps the last good one and remembers why. A sound one that could not be
   * put in force (a port that is taken) is tried again until there is another. Never rejects.
   */
  follow(read: ConfigRead): Promise<void> {
    this.#latest = read;
    this.#cancelAgain();
    this.#following = this.#following.then(() => this.#follow(read, AGAIN.firstMs));
    return this.#following;
  }

  async #follow(read: ConfigRead, againMs: number): Promise<void> {
    const { log, podName, engine, receiver, resolver, signing, configOutcome } = this.#parts;
    if (this.#latest !== read) return undefined;
    if (!read.ok) return this.#refuse(read.reason);
    const before = this.#inForce;
    try {
      // The listeners first: a port or a certificate is what may still fail, and it fails as a whole.
      await receiver.apply(read.config, podName, read.files);
      resolver.reconfigure(read.config.dns.servers, read.config.delivery.forbiddenNetworks, [
        read.config.relay.hostname,
        ...read.pod.sources.map((source) => source.ehloName),
      ]);
    } catch (error) {
      if (before !== null) await this.#restore(before);
      this.#refuse(error instanceof Error ? error.message : String(error));
      return this.#tryAgain(read, againMs);
    }
    signing.apply(read.config, read.files);
    this.#inForce = read;
    engine.apply(read.config, podName);
    this.#refusal = null;
    configOutcome("applied");
    log.info("configuration in force", {
      revision: read.config.revision,
      changes: describeDiff(diffConfig(before, read)),
    });
  }

  /** From here on the relay is not ready; the stop itself is main.ts's order. */
  stopping(): void {
    this.#stopping = true;
    this.#cancelAgain();
  }

  readonly ready: Check = () => {
    const reason = this.#notReadyReason();
    return reason === "" ? { ok: true } : { ok: false, reason };
  };

  report(): RelayReport {
    const { clock, podName, engine, signing } = this.#parts;
    // Looked at anew each time: it costs little, and a report is asked for every some seconds.
    const localAddresses = this.#parts.localAddresses();
    const notReadyReason = this.#notReadyReason().slice(0, 512);
    return {
      version: REPORT_VERSION,
      pod: podName,
      at: new Date(clock.now()).toISOString(),
      startedAt: this.#startedAt,
      appliedRevision: this.#inForce?.config.revision ?? null,
      refusal: this.#refusal,
      ready: notReadyReason === "",
      notReadyReason,
      loadedKeys: [...signing.loadedKeys()],
      ...(localAddresses === null ? {} : { localAddresses: [...localAddresses] }),
      ...engine.report(),
    };
  }

  #notReadyReason(): string {
    if (this.#stopping) return "stopping";
    if (this.#inForce === null) return this.#refusal ?? "no configuration yet";
    if (this.#inForce.pod.state === "Draining") return "draining: delivers what is queued, takes nothing new";
    const { health } = this.#parts.spool;
    if (health.state === "Failed") return `the spool failed: ${health.reason}`;
    return this.#parts.overloaded() ?? "";
  }

  async #restore(before: GoodConfig): Promise<void> {
    const { receiver, podName, log } = this.#parts;
    await receiver.apply(before.config, podName, before.files).catch((error: unknown) => {
      log.error("cannot go back to the former listeners", { error });
    });
  }

  #tryAgain(read: GoodConfig, afterMs: number): void {
    if (this.#stopping || this.#latest !== read) return;
    this.#cancelAgain = this.#parts.clock.after(afterMs, () => {
      const nextMs = Math.min(2 * afterMs, AGAIN.longestMs);
      this.#following = this.#following.then(() => this.#follow(read, nextMs));
    });
  }

  #refuse(reason: string): void {
    // Tried again to the same end: that was said before.
    if (this.#refusal === reason.slice(0, 2048)) return;
    this.#refusal = reason.slice(0, 2048);
    this.#parts.configOutcome("refused");
    this.#parts.log.error("configuration refused; the last good one stays in force", {
      reason: this.#refusal,
      inForce: this.#inForce?.config.revision ?? null,
    });
  }
}
