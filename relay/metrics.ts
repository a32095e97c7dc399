/**
 * The relay's series, each declared once with its meaning. docs/reference/metrics.md is made from them.
 *
 * Counters move when something happens; levels (queue, allowances, restraints) are taken from the relay's
 * own report at each scrape, so that metrics and report cannot disagree.
 */
import type { Registry } from "prom-client";

import { type RelayReport, restraint } from "./contract/report.ts";
import { MetricBook, type LabelValues } from "./kit/metrics.ts";
import type { QueuedMessage } from "./message.ts";
import { otherProvider, providers } from "./policy/providers.ts";
import type { OverloadLevel } from "./policy/overload.ts";
import type { ReplyClass } from "./policy/replyRule.ts";
import type { EngineMetrics } from "./queue/enginePorts.ts";
import type { ReceiveMetrics } from "./smtp/receive.ts";

export interface RelayMetrics {
  readonly engine: EngineMetrics;
  readonly receive: ReceiveMetrics;
  /** A message became durable and its client heard 250. */
  accepted(message: QueuedMessage): void;
  /** Bytes that a kill had left torn at the ends of the spool's logs, and that were cut at this start. */
  spoolCut(bytes: number): void;
  /** Bytes of the spool's logs that could not be read at this start, or at former ones nobody looked at yet. */
  spoolDamaged(bytes: number): void;
  /** A configuration was put in force, or refused and the former one kept. */
  configuration(result: "applied" | "refused"): void;
  /** Names what the levels are read from, once it is there. */
  levels(sources: LevelSources): void;
  readonly book: MetricBook;
}

export interface LevelSources {
  report(): RelayReport;
  /** Client sessions open now. */
  sessions(): number;
  overload(): OverloadLevel;
}

const source: LabelValues = { of: "names of egress sources, `none` where no source was chosen", atMost: 256 };
const provider: readonly string[] = [...providers.map(({ name }) => name), otherProvider.name];
const classes: Readonly<Record<ReplyClass, true>> = {
  UnknownRecipient: true,
  BadDomain: true,
  Inactive: true,
  MailboxFull: true,
  TooLarge: true,
  Greylist: true,
  RateLimited: true,
  ReputationBlock: true,
  DnsblBlock: true,
  ContentRejected: true,
  AuthFailed: true,
  RelayDenied: true,
  Protocol: true,
  TooManyRecipients: true,
  Network: true,
  Undetermined: true,
};
const overloadLevels: Readonly<Record<OverloadLevel, number>> = { Calm: 0, Slow: 1, Shut: 2 };
const queueClass: LabelValues = {
  of: "queue classes of the configuration, `default` and `other`",
  // spec.queue.classes has at most sixteen.
  atMost: 18,
};
const NONE = "none";
/** From a session on the same machine to the ten minutes of a final dot. */
const delaySeconds = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600, 14_400, 86_400];
const transactionSeconds = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 600];

export function createRelayMetrics(registry: Registry): RelayMetrics {
  const book = new MetricBook(registry);
  let levels: LevelSources | null = null;

  const ready = book.gauge(
    {
      name: "smtp_relay_ready",
      help: "1 when the relay takes submissions.",
      doc: "0 while it starts, drains, or cannot store.",
      labels: {},
    },
    // The first gauge of the registry is asked first: one scrape, one report, all levels read together.
    () => collect(),
  );
  const sessions = book.counter({
    name: "smtp_relay_sessions_total",
    help: "Client sessions, by whether they were let in.",
    doc: "`refused` grows when `spec.limits.sessions` or a client's share of it is used up.",
    labels: { result: ["opened", "refused"] },
  });
  const openSessions = book.gauge({
    name: "smtp_relay_open_sessions",
    help: "Client sessions open now.",
    doc: "Compare with `spec.limits.sessions`.",
    labels: {},
  });
  const overloadLevel = book.gauge({
    name: "smtp_relay_overload_level",
    help: "0: calm. 1: transactions begin more slowly. 2: no new ones (421), and not ready when that lasts.",
    doc: "The log line `overloaded` says what rose: lateness of replies, memory or the disk. Delivery goes on. More replicas, or more memory, when it comes back.",
    labels: {},
  });
  const authFailures = book.counter({
    name: "smtp_relay_auth_failures_total",
    help: "Failed logins.",
    doc: "A few are people; a steady rate is somebody who guesses, and is being slowed down and locked out.",
    labels: {},
  });
  const submissions = book.counter({
    name: "smtp_relay_submissions_total",
    help: "Messages offered, by the answer they got.",
    doc: "`accepted`: durable and ours (250). `refused`: 5xx, the client must change something. `deferred`: 4xx, we could not take it now; with a failed spool all are.",
    labels: { result: ["accepted", "refused", "deferred"] },
  });
  const acceptedBytes = book.counter({
    name: "smtp_relay_accepted_bytes_total",
    help: "Bytes of accepted messages.",
    doc: "As stored: header block and body, before signing.",
    labels: {},
  });
  const acceptedRecipients = book.counter({
    name: "smtp_relay_accepted_recipients_total",
    help: "Recipients of accepted messages.",
    doc: "What is accepted and has no outcome yet waits: see `smtp_relay_queue_recipients`.",
    labels: {},
  });
  const outcomes = book.counter({
    name: "smtp_relay_outcomes_total",
    help: "What attempts ended in, one count a recipient.",
    doc: "`delivered`: taken by the peer. `deferred`: tried again later. `bounced`: refused for good. `expired`: waited too long. `class` says what a failure spoke of (`none` when delivered): the rate of `ReputationBlock` and `RateLimited` is the health of a source.",
    labels: {
      source,
      provider,
      result: ["delivered", "deferred", "bounced", "expired"],
      class: [NONE, ...Object.keys(classes)],
    },
  });
  const transactions = book.histogram({
    name: "smtp_relay_transaction_seconds",
    help: "Time of one transaction, from connecting or MAIL to the last reply.",
    doc: "Its count is the number of attempts that reached the network. A long tail is a peer that keeps us waiting.",
    labels: { source, provider },
    buckets: transactionSeconds,
  });
  const delays = book.histogram({
    name: "smtp_relay_delivery_delay_seconds",
    help: "Time from accepting a message to its delivery, one count a delivered recipient.",
    doc: "Retries and local limits included. A class of high priority that grows slow here while the low ones are fast is worth a look at its destinations.",
    labels: { queue_class: queueClass },
    buckets: delaySeconds,
  });
  const watchdogs = book.counter({
    name: "smtp_relay_watchdog_total",
    help: "Waits that the watchdog ended, by what was waited for.",
    doc: "`silence`: a peer with which nothing moved for 15 minutes. `duration`: one that moved and would not end within 45 minutes and a second for each KiB. `lookup`: DNS, after 2 minutes. `preparation`: signing or the spool, after 1 minute; this one is our own fault. The mail is tried again, and its last attempt says so.",
    labels: { what: ["silence", "duration", "lookup", "preparation"] },
  });
  const configurations = book.counter({
    name: "smtp_relay_configurations_total",
    help: "Configurations seen, by whether they were put in force.",
    doc: "After a `refused` one the former stays in force; the report and the SmtpRelay's condition say why.",
    labels: { result: ["applied", "refused"] },
  });
  const configurationCurrent = book.gauge({
    name: "smtp_relay_configuration_current",
    help: "1 when the newest configuration is in force, 0 when it was refused.",
    doc: "Alert on 0.",
    labels: {},
  });
  const spoolOk = book.gauge({
    name: "smtp_relay_spool_ok",
    help: "1 when the spool can store.",
    doc: "0: clients hear 4xx and nothing new is taken. Alert on it; the report says what fails.",
    labels: {},
  });
  const spoolTorn = book.gauge({
    name: "smtp_relay_spool_torn_bytes",
    help: "Bytes cut from the ends of the spool's logs at the last start.",
    doc: "What a kill or a power loss interrupted; nobody was promised it. 0 after an orderly stop. Not zero again and again: something kills the relay.",
    labels: {},
  });
  const spoolDamaged = book.gauge({
    name: "smtp_relay_spool_damaged_bytes",
    help: "Bytes of the spool's logs that could not be read at the last start or before, until somebody has looked.",
    doc: "A broken disk: messages may have been in them. What may be left of them is kept. Alert on anything but 0; runbook: docs/runbooks/broken-disk.md.",
    labels: {},
  });
  const spoolAside = book.gauge({
    name: "smtp_relay_spool_set_aside_messages",
    help: "Messages that are kept and sent to nobody, because their envelopes on the disk are damaged.",
    doc: "Alert on anything but 0; the log names each, `smtp-relay explain ID` says why, runbook: docs/runbooks/broken-disk.md.",
    labels: {},
  });
  const queueMessages = book.gauge({
    name: "smtp_relay_queue_messages",
    help: "Messages with a recipient that waits.",
    doc: "What `smtp-relay queue` lists by destination.",
    labels: {},
  });
  const queueRecipients = book.gauge({
    name: "smtp_relay_queue_recipients",
    help: "Recipients that wait, by provider.",
    doc: "Growth at one provider alone is that provider's doing, or our reputation there.",
    labels: { provider },
  });
  const queueOldest = book.gauge({
    name: "smtp_relay_queue_oldest_seconds",
    help: "Age of the oldest recipient that waits, by provider.",
    doc: "The better alarm than the number: a long queue that moves is no trouble.",
    labels: { provider },
  });
  const classRecipients = book.gauge({
    name: "smtp_relay_queue_class_recipients",
    help: "Recipients that wait, by queue class; absent where `spec.queue.classes` is empty.",
    doc: "`other`: mail in a class that the configuration no longer has; it is sent as `default`.",
    labels: { queue_class: queueClass },
  });
  const classOldest = book.gauge({
    name: "smtp_relay_queue_class_oldest_seconds",
    help: "Age of the oldest recipient that waits, by queue class; absent where `spec.queue.classes` is empty.",
    doc: "Alert on it for the classes that must be fast.",
    labels: { queue_class: queueClass },
  });
  const restraints = book.gauge({
    name: "smtp_relay_restraints",
    help: "Limits that hold mail back now, by kind.",
    doc: "`smtp-relay queue` names each with its rule and its end.",
    labels: { kind: restraint.shape.kind.options },
  });
  const allowanceUsed = book.gauge({
    name: "smtp_relay_allowance_used",
    help: "Recipients of today (UTC) that a source has spent of its allowance.",
    doc: "In flight included. `total` is the sum over all providers.",
    labels: { source, provider: [...provider, "total"] },
  });
  const allowanceLimit = book.gauge({
    name: "smtp_relay_allowance_limit",
    help: "Today's allowance of a source; absent where there is none.",
    doc: "Follows the warm-up's rows; at 100 % use what is left waits for tomorrow.",
    labels: { source, provider: [...provider, "total"] },
  });

  const addressMissing = book.gauge({
    name: "smtp_relay_address_missing",
    help: "1 for a source whose address is not on this pod, and for a pool of which this pod has no address; absent for the others.",
    doc: "Nothing is sent from it here until the address is there; it is looked for every ten seconds. A pool stands here by its name alone: mail for it waits in this pod. Alert on it: where a pod has one address, its mail stands still.",
    labels: { source },
  });

  function collect(): void {
    if (levels === null) return;
    openSessions.set({}, levels.sessions());
    overloadLevel.set({}, overloadLevels[levels.overload()]);
    const report = levels.report();
    ready.set({}, report.ready ? 1 : 0);
    configurationCurrent.set({}, report.refusal === null ? 1 : 0);
    spoolOk.set({}, report.spool.state === "Ok" ? 1 : 0);
    spoolAside.set({}, report.spool.setAside ?? 0);
    queueMessages.set({}, report.queue.messages);
    for (const level of [queueRecipients, queueOldest, restraints, allowanceUsed, allowanceLimit])
      level.clear();
    addressMissing.clear();
    for (const { source: name } of report.missingAddresses) addressMissing.set({ source: name }, 1);
    for (const pool of report.unservedPools ?? []) addressMissing.set({ source: pool }, 1);
    for (const level of [classRecipients, classOldest]) level.clear();
    for (const { queueClass: name, recipients, oldestSeconds } of report.queue.classes ?? []) {
      classRecipients.set({ queue_class: name }, recipients);
      classOldest.set({ queue_class: name }, oldestSeconds);
    }
    for (const { provider: name, recipients, oldestSeconds } of report.queue.providers) {
      queueRecipients.set({ provider: name }, recipients);
      queueOldest.set({ provider: name }, oldestSeconds ?? 0);
    }
    const kinds = new Map<string, number>();
    for (const { kind } of report.restraints) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
    for (const [kind, count] of kinds) restraints.set({ kind }, count);
    const today = report.at.slice(0, 10);
    for (const usage of report.usage) {
      if (usage.day !== today) continue;
      const labels = { source: usage.source, provider: usage.provider };
      allowanceUsed.set(labels, usage.used);
      if (usage.limit !== null) allowanceLimit.set(labels, usage.limit);
    }
  }
  return {
    book,
    engine: {
      outcome: (labels) =>
        outcomes.add({ ...labels, source: labels.source || NONE, class: labels.class || NONE }),
      delivered: (labels, seconds) => delays.observe({ queue_class: labels.queueClass }, seconds),
      watchdog: (labels) => watchdogs.add(labels),
      transaction: (labels, seconds) => transactions.observe(labels, seconds),
    },
    receive: {
      count(event) {
        switch (event) {
          case "session":
            return sessions.add({ result: "opened" });
          case "sessionRefused":
            return sessions.add({ result: "refused" });
          case "authFailed":
            return authFailures.add({});
          case "accepted":
          case "refused":
          case "deferred":
            return submissions.add({ result: event });
        }
      },
    },
    accepted(message) {
      acceptedBytes.add({}, message.sizeBytes);
      acceptedRecipients.add({}, message.recipients.length);
    },
    spoolCut: (bytes) => spoolTorn.set({}, bytes),
    spoolDamaged: (bytes) => spoolDamaged.set({}, bytes),
    configuration: (result) => configurations.add({ result }),
    levels: (sources) => void (levels = sources),
  };
}
