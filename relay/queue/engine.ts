/**
 * The queue's engine: due → resolve → admit → deliver → decide → record. It carries out what policy/
 * decides and owns no rule; it wakes on events and on one timer for the next instant that matters.
 *
 * Promises: never two transactions for one recipient at once; nothing is spent before its allowance is
 * durable; nothing goes on before its outcome is; expiry holds wherever a message waits; a stop ends or
 * gives back what is in flight.
 */
import type { Explanation, MessageListing, QueueListing, SetAside, Unreadable } from "../contract/admin.ts";
import type { RelayConfig } from "../contract/config.ts";
import type { Instant, MessageId, QueuedMessage } from "../message.ts";
import { expire } from "../policy/decide.ts";
import { classOf, rankOf } from "../policy/queueClass.ts";
import { Aftermath, type Conclusion } from "./aftermath.ts";
import { compileConfig, sameRouting } from "./compiledConfig.ts";
import { Dispatcher } from "./dispatcher.ts";
import { defaultLimits, type EngineLimits, type EnginePorts } from "./enginePorts.ts";
import { entryOf } from "./coldEntry.ts";
import { explainMessage, explainSetAside, explainUnreadable } from "./explain.ts";
import { Flights } from "./flights.ts";
import { listQueue, showMessage } from "./listing.ts";
import { AllowanceMeter } from "./meter.ts";
import type { Entry, Parcel } from "./parcel.ts";
import { PathBook } from "./paths.ts";
import { Plumbing } from "./plumbing.ts";
import { createQueueState, type QueueState } from "./queueState.ts";
import { type EngineReport, reportQueue } from "./report.ts";
import { Scheduler, type SchedulerEvents } from "./scheduler.ts";
import { Slots } from "./slots.ts";
import type { RecoveredSpool, WaitingMessage } from "./spool.ts";
import { SpoolGate } from "./spoolGate.ts";
import { Statistics } from "./statistics.ts";
import { Window } from "./window.ts";
import { within } from "./within.ts";

export interface Engine {
  /** Takes over what a former life left, once. Nothing is delivered before `apply` was called too. */
  start(recovered: RecoveredSpool): void;
  /** Takes a message whose commit has resolved. */
  enqueue(message: QueuedMessage): void;
  /** Puts a configuration in force at once; what is in flight ends under the former one. */
  apply(config: RelayConfig, podName: string): void;
  /**
   * Starts nothing more, lets what is in flight end for `graceSeconds`, then breaks it off and gives it
   * back untouched. Resolves when all outcomes and the exact use of allowances are recorded, as far as
   * the spool works. Never rejects.
   */
  stop(options: { readonly graceSeconds: number }): Promise<void>;
  report(): EngineReport;
  queueListing(): Promise<QueueListing>;
  /** Null when it is not (or no longer) queued. Both reject with SpoolError when it cannot be read. */
  message(id: MessageId): Promise<MessageListing | null>;
  explain(id: MessageId): Promise<Explanation | null>;
  /** One that is kept and sent to nobody; null when it is none. */
  setAside(id: MessageId): SetAside | null;
  /** One that could not be read just now, for `reason`. */
  unreadable(id: MessageId, reason: string): Unreadable;
  /** Ids of messages, queued or set aside, that begin with `prefix`, oldest first, at most `most`. */
  find(prefix: string, most: number): readonly MessageId[];
}

/**
 * Messages of a former life that are taken over between two looks at everything else: a millisecond. Whoever waits
 * for a reply meanwhile waits for some of these, and from the start to the first 250 it is some forty.
 */
const TAKEN_OVER_AT_ONCE = 1000;
/** Room for messages beside those of a former life, before columns grow. */
const SPARE = 50_000;
/** A stop waits this long for notices that are being stored. */
const NOTICES_MS = 5000;

export function createEngine(ports: EnginePorts, limits: Partial<EngineLimits> = {}): Engine {
  return new QueueEngine(ports, { ...defaultLimits, ...limits });
}

class QueueEngine implements Engine {
  readonly #ports: EnginePorts;
  readonly #limits: EngineLimits;
  readonly #state: QueueState;
  readonly #scheduler: Scheduler;
  readonly #dispatcher: Dispatcher;
  readonly #aftermath: Aftermath;
  readonly #flights: Flights;
  readonly #window: Window;
  /** What is left of the recovery's walk. */
  #recovered: Iterator<WaitingMessage> | null = null;
  #started = false;
  #stopped: Promise<void> | null = null;
  #tickPending = false;
  #cancelTimer: (() => void) | null = null;
  #armedFor = Number.POSITIVE_INFINITY;

  constructor(ports: EnginePorts, limits: EngineLimits) {
    this.#ports = ports;
    this.#limits = limits;
    const { clock, log, spool, random } = ports;
    const wake = () => this.#wake();
    const gate = new SpoolGate({ spool, clock, log, onOpen: wake });
    const meter = new AllowanceMeter((records) => spool.recordUsage(records));
    const statistics = new Statistics({ clock, spool, log });
    const slots = new Slots({
      quick: limits.transactions,
      slow: limits.slowTransactions,
      slowAfterMs: limits.slowAfterMs,
    });
    const plumbing = new Plumbing(ports, () => {
      this.#dispatcher.wakeAll();
      wake();
    });
    this.#state = createQueueState(
      { gate, meter, statistics, slots, plumbing, paths: new PathBook() },
      clock.now(),
    );
    this.#aftermath = new Aftermath(ports, this.#state, {
      waiting: (entry, indices) => {
        this.#scheduler.admit(entry, indices);
        this.#window.rest(entry);
        wake();
      },
      left: (entry) => this.#window.left(entry),
      queued: (notice) => this.enqueue(notice),
    });
    this.#flights = new Flights(ports, this.#state, this.#aftermath, {
      ended: (site, source, unusedUnits) => {
        this.#dispatcher.ended(site, source, unusedUnits);
        wake();
      },
      landed: wake,
      returned: (parcel, at) => {
        this.#scheduler.schedule(parcel, at);
        this.#window.rest(parcel.entry);
      },
    });
    const events: SchedulerEvents = {
      ready: (site, parcel) => this.#dispatcher.ready(site, parcel),
      unroutable: this.#flights.unroutable.bind(this.#flights),
      parked: (parcel: Parcel) => this.#window.rest(parcel.entry),
      changed: wake,
    };
    this.#scheduler = new Scheduler(ports, this.#state, events, limits.resolutions);
    this.#window = new Window(ports, this.#state, {
      scheduler: this.#scheduler,
      limit: limits.inMemory,
      changed: wake,
    });
    this.#dispatcher = new Dispatcher(
      this.#state,
      () => random.draw(),
      (parcel, now) => this.#scheduler.advance(parcel, now),
      (site, block) => this.#window.blocked(site, block),
    );
  }

  start(recovered: RecoveredSpool): void {
    if (this.#started) throw new Error("Cannot start the engine: it was started before.");
    this.#started = true;
    this.#state.usageSince = recovered.createdAt;
    this.#state.meter.load(recovered.usage);
    this.#state.statistics.load(recovered.usage);
    this.#recovered = recovered.waiting[Symbol.iterator]();
    this.#state.untold = recovered.count;
    this.#state.backlog.reserve(recovered.count + SPARE);
    this.#takeOver(this.#ports.clock.now());
  }

  enqueue(message: QueuedMessage): void {
    if (this.#state.entries.has(message.id) || this.#state.backlog.has(message.id)) {
      throw new Error(`Cannot queue message ${message.id}: it is queued already.`);
    }
    this.#window.enqueue(message, this.#ports.clock.now());
    this.#wake();
  }

  apply(config: RelayConfig, podName: string): void {
    const now = this.#ports.clock.now();
    const before = this.#state.compiled;
    const after = compileConfig(config, podName, before, now, this.#state.usageSince);
    this.#state.compiled = after;
    this.#state.plumbing.follow(after.sources);
    this.#scheduler.restart(before === null || !sameRouting(before, after), now);
    this.#dispatcher.wakeAll();
    this.#state.backlog.wakeAll((queueClass) => rankOf(classOf(after.queueClasses, queueClass)));
    this.#wake();
  }

  stop(options: { readonly graceSeconds: number }): Promise<void> {
    this.#stopped ??= this.#stop(options.graceSeconds);
    return this.#stopped;
  }

  report(): EngineReport {
    return reportQueue(this.#ports, this.#state);
  }

  queueListing(): Promise<QueueListing> {
    return listQueue(this.#ports, this.#state);
  }

  async message(id: MessageId): Promise<MessageListing | null> {
    const entry = await entryOf(this.#ports, this.#state, id);
    return entry === null ? null : showMessage(this.#ports, this.#state, entry);
  }

  async explain(id: MessageId): Promise<Explanation | null> {
    const entry = await entryOf(this.#ports, this.#state, id);
    return entry === null ? null : explainMessage(this.#state, entry, this.#ports.clock.now());
  }

  setAside(id: MessageId): SetAside | null {
    const found = this.#ports.spool.setAside.find((each) => each.id === id);
    return found === undefined ? null : explainSetAside(this.#state, found);
  }

  unreadable(id: MessageId, reason: string): Unreadable {
    return explainUnreadable(this.#state, id, reason);
  }

  /** Takes over the next of what a former life left; the rest in a later turn, so that nobody waits long. */
  #takeOver(now: Instant): void {
    for (let taken = 0; taken < TAKEN_OVER_AT_ONCE && this.#recovered !== null; taken++) {
      const { done, value } = this.#recovered.next();
      if (done === true) this.#recovered = null;
      else this.#window.recovered(value, now);
    }
    this.#state.untold = this.#recovered === null ? 0 : this.#state.untold - TAKEN_OVER_AT_ONCE;
    this.#wake();
    if (this.#recovered !== null && this.#stopped === null) {
      setImmediate(() => this.#takeOver(this.#ports.clock.now()));
    }
  }

  /** Asks for a look at everything, soon: many events of one turn share it. */
  #wake(): void {
    if (this.#tickPending || this.#stopped !== null) return;
    this.#tickPending = true;
    queueMicrotask(() => {
      this.#tickPending = false;
      if (this.#stopped === null) this.#tick();
    });
  }

  #tick(): void {
    const now = this.#ports.clock.now();
    if (!this.#started || this.#state.compiled === null) return;
    for (let entry = this.#state.expiry.popDue(now); entry; entry = this.#state.expiry.popDue(now)) {
      this.#expire(entry);
    }
    this.#state.backlog.wakeDue(now);
    const running = this.#state.gate.failure === null && this.#state.compiled.pausedSince === null;
    this.#window.refill(running);
    if (running) {
      this.#scheduler.processDue(now);
      this.#dispatcher.wakeDue(now);
      while (this.#state.slots.hasRoom(now)) {
        const start = this.#dispatcher.next(this.#limits.recipientsPerTransaction, now);
        if (start === null) break;
        this.#flights.launch(start);
      }
    }
    this.#arm(running);
  }

  /** One timer, for the next instant that matters. One that rings too early costs a look, and is left. */
  #arm(running: boolean): void {
    const { due, expiry, backlog, slots } = this.#state;
    const instants = running
      ? [expiry.nextAt, backlog.nextAt, due.nextAt, this.#dispatcher.nextAt, slots.nextAt]
      : [expiry.nextAt, backlog.nextAt];
    const next = Math.min(...instants.map((at) => at ?? Number.POSITIVE_INFINITY));
    if (next >= this.#armedFor) return;
    this.#cancelTimer?.();
    this.#armedFor = next;
    this.#cancelTimer = this.#ports.clock.after(next - this.#ports.clock.now(), () => {
      this.#cancelTimer = null;
      this.#armedFor = Number.POSITIVE_INFINITY;
      this.#wake();
    });
  }

  /** Bounces what still waits, wherever it waits; what is in flight is decided when it lands. */
  #expire(entry: Entry): void {
    entry.expiry = null;
    const now = this.#ports.clock.now();
    const conclusions: Conclusion[] = [];
    for (const parcel of entry.parcels) {
      if (!this.#scheduler.takeOut(parcel)) continue;
      entry.parcels.delete(parcel);
      for (const index of parcel.indices) {
        const recipient = entry.recipients[index];
        if (recipient !== undefined) conclusions.push({ index, verdict: expire(recipient, now) });
      }
    }
    // What lands later and is to be tried again finds no time left, except a try that is due at once.
    if (conclusions.length < entry.waiting) entry.expiry = this.#state.expiry.add(now + 60_000, entry);
    if (conclusions.length > 0) this.#flights.expired(entry, conclusions);
  }

  find(prefix: string, most: number): readonly MessageId[] {
    const found: MessageId[] = [];
    for (const id of this.#state.entries.keys()) {
      if (id.startsWith(prefix)) found.push(id);
      if (found.length === most) break;
    }
    found.push(...this.#state.backlog.view.find(prefix, most));
    for (const { id } of this.#ports.spool.setAside) if (id.startsWith(prefix)) found.push(id);
    return [...new Set(found)].sort().slice(0, most);
  }

  async #stop(graceSeconds: number): Promise<void> {
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    this.#scheduler.close();
    this.#state.plumbing.stop();
    this.#window.close();
    await this.#flights.end(graceSeconds);
    // Notices being stored are recorded as well, or the next life would send them again.
    const notices = this.#aftermath.close();
    if (this.#state.gate.failure === null) await within(this.#ports.clock, notices, NOTICES_MS);
    this.#state.gate.close();
    await notices;
    await this.#state.statistics.flush();
    try {
      await this.#state.meter.close();
    } catch (error) {
      this.#ports.log.warn("the unspent allowance could not be given back and is written off", { error });
    }
  }
}
