/**
 * Which sources have their address on this machine. One that has not can start nothing, which is neither
 * an attempt nor the fault of a site: its mail goes by the other sources of the pool or waits, and goes on
 * when the address appears. Looked at when the sources change, after a bind that failed, and in between.
 */
import type { EgressSource } from "../contract/config.ts";
import type { Instant } from "../message.ts";
import type { EnginePorts } from "./enginePorts.ts";

export interface MissingAddress {
  readonly source: string;
  readonly reason: string;
  readonly since: Instant;
}

/** A bind of a socket that sends nothing costs microseconds; an address is waited for this long at most. */
const LOOK_EVERY_MS = 10_000;

export class Plumbing {
  readonly #ports: Pick<EnginePorts, "clock" | "log" | "bindFault">;
  readonly #changed: () => void;
  readonly #missing = new Map<string, MissingAddress>();
  #wanted = new Map<string, string>();
  #cancelTimer: (() => void) | null = null;
  #stopped = false;
  /** Counts looks: only the newest one's answers are taken. */
  #look = 0;

  constructor(ports: Pick<EnginePorts, "clock" | "log" | "bindFault">, changed: () => void) {
    this.#ports = ports;
    this.#changed = changed;
  }

  /**
   * The sources of the configuration in force. Those of which nothing is known yet are taken to be there; what
   * is paused starts nothing, so that its address may be gone for good.
   */
  follow(sources: readonly EgressSource[]): void {
    const before = this.#wanted;
    this.#wanted = new Map(
      sources.flatMap(({ name, address, state }) =>
        address === null || state === "Paused" ? [] : [[name, address] as const],
      ),
    );
    for (const name of this.#missing.keys()) {
      if (this.#wanted.get(name) !== before.get(name)) this.#missing.delete(name);
    }
    void this.#lookNow();
  }

  /** Null: it is there, or connects from whatever address the system chooses. */
  of(source: string): MissingAddress | null {
    return this.#missing.get(source) ?? null;
  }

  all(): readonly MissingAddress[] {
    return [...this.#missing.values()];
  }

  /** A connection could not be bound to the source's address. */
  failed(source: string, reason: string): void {
    if (!this.#wanted.has(source) || this.#stopped) return;
    this.#note(source, reason);
    this.#arm();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancelTimer?.();
  }

  async #lookNow(): Promise<void> {
    const look = (this.#look += 1);
    const answers = await Promise.all(
      [...this.#wanted].map(async ([name, address]) => ({
        name,
        // Without eyes of our own the next attempt is the look.
        fault: (await this.#ports.bindFault?.(address)) ?? null,
      })),
    );
    if (look !== this.#look || this.#stopped) return;
    for (const { name, fault } of answers) this.#note(name, fault);
    this.#arm();
  }

  #note(source: string, fault: string | null): void {
    const known = this.#missing.get(source);
    if (fault === null && known === undefined) return;
    if (fault === null) this.#missing.delete(source);
    else if (known !== undefined) return;
    else this.#missing.set(source, { source, reason: fault, since: this.#ports.clock.now() });
    if (fault === null) this.#ports.log.info("the address of a source is there again", { source });
    else
      this.#ports.log.warn("nothing is sent from a source: its address is missing", {
        source,
        reason: fault,
      });
    this.#changed();
  }

  #arm(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    const blind = this.#ports.bindFault === undefined;
    if (this.#wanted.size === 0 || (blind && this.#missing.size === 0)) return;
    this.#cancelTimer = this.#ports.clock.after(LOOK_EVERY_MS, () => void this.#lookNow());
  }
}
