/** The queue by site, and one message, as the admin socket gives them to a person on the machine. */
import type { MessageListing, QueueListing } from "../contract/admin.ts";
import type { Instant, MessageId } from "../message.ts";
import { DEFAULT_CLASS, rankOf } from "../policy/queueClass.ts";
import type { BacklogRow } from "./backlogView.ts";
import { type Binding, bind } from "./binding.ts";
import { coldEntry } from "./coldEntry.ts";
import { queueClassOf } from "./compiledConfig.ts";
import type { EnginePorts } from "./enginePorts.ts";
import { isoOf, lastOf } from "./explain.ts";
import { readHeader } from "./notices.ts";
import type { Entry, Parcel } from "./parcel.ts";
import { type QueueState, whereTo, whereToDomain } from "./queueState.ts";

/** Parcels of a site that are asked why they wait; the earliest due ones stand for the rest. */
const MOST_ASKED = 100;
const MOST_SAMPLED = 5;
/** Messages of the backlog that are read for a listing. */
const MOST_LOADED = 2000;
/** Header bytes shown. */
const MOST_HEADER_BYTES = 8192;

interface Group {
  readonly site: string;
  readonly provider: string;
  readonly queueClass: string;
  /** In memory, and those of the backlog that were looked at. */
  readonly parcels: Parcel[];
  /** Of the backlog, beside those. */
  recipients: number;
  oldest: Instant;
  readonly samples: { readonly id: MessageId; readonly receivedAt: Instant }[];
}

export async function listQueue(ports: EnginePorts, state: QueueState): Promise<QueueListing> {
  // The backlog first: what is read from the disk meanwhile may come into memory, and is not counted twice.
  const cold = await lookAtBacklog(ports, state);
  const now = ports.clock.now();
  const groups = new Map<string, Group>();
  const groupOf = (where: ReturnType<typeof whereTo>, queueClass: string = DEFAULT_CLASS): Group => {
    const key = `${where.provider.name} ${where.site} ${queueClass}`;
    let group = groups.get(key);
    if (group === undefined) {
      const { site, provider } = where;
      const found = { parcels: [], recipients: 0, oldest: now, samples: [] };
      group = { site, provider: provider.name, queueClass, ...found };
      groups.set(key, group);
    }
    return group;
  };
  for (const entry of state.entries.values()) {
    const { queueClass } = entry.message;
    for (const parcel of entry.parcels) groupOf(whereTo(state, parcel), queueClass).parcels.push(parcel);
  }
  for (const { lane, oldest } of state.backlog.view.lanes()) {
    const group = groupOf(whereToDomain(state, lane.domain), lane.queueClass);
    group.recipients += lane.recipients;
    group.oldest = Math.min(group.oldest, oldest);
  }
  for (const { row, entry } of cold) {
    if (!state.backlog.has(row.id)) continue;
    const group = groupOf(whereToDomain(state, row.domain), row.queueClass);
    group.samples.push(row);
    if (entry === null) continue;
    for (const parcel of entry.parcels) {
      const own = groupOf(whereTo(state, parcel), row.queueClass);
      own.parcels.push(parcel);
      // Counted with its lane already.
      group.recipients -= parcel.indices.length;
    }
  }
  const sites = [...groups.values()].map(({ site, provider, queueClass, parcels, ...group }) => {
    const asked = parcels.toSorted((a, b) => a.dueAt - b.dueAt).slice(0, MOST_ASKED);
    const cache = new Map();
    const bindings = asked.map((parcel) => ({ parcel, ...bind(state, parcel, now, cache) }));
    const samples = [
      ...parcels.map(({ entry: { message } }) => ({ id: message.id, receivedAt: message.receivedAt })),
      ...group.samples,
    ].toSorted((a, b) => a.receivedAt - b.receivedAt);
    const tries = bindings.flatMap(({ nextTryAt }) => nextTryAt ?? []);
    return {
      site,
      provider,
      queueClass,
      recipients: parcels.reduce((sum, parcel) => sum + parcel.indices.length, group.recipients),
      oldestSeconds: secondsSince(Math.min(samples[0]?.receivedAt ?? now, group.oldest), now),
      nextTryAt: tries.length === 0 ? null : isoOf(Math.min(...tries)),
      rule: mostCommon(bindings),
      sample: [...new Set(samples.map(({ id }) => id))].slice(0, MOST_SAMPLED),
    };
  });
  return {
    pod: state.compiled?.podName ?? "",
    at: isoOf(now),
    sites: sites.sort(
      (a, b) => b.recipients - a.recipients || rankIn(state, a.queueClass) - rankIn(state, b.queueClass),
    ),
  };
}

/**
 * The messages of each lane that are due first, and the oldest: these stand for the rest. Of very many lanes
 * only the longest are read.
 */
async function lookAtBacklog(
  ports: EnginePorts,
  state: QueueState,
): Promise<{ readonly row: BacklogRow; readonly entry: Entry | null }[]> {
  const samples = [...state.backlog.view.samples(MOST_SAMPLED)].toSorted(
    ([a], [b]) => b.recipients - a.recipients,
  );
  const rows = new Map<MessageId, BacklogRow>();
  for (const [, { next, oldest }] of samples) for (const row of [...next, ...oldest]) rows.set(row.id, row);
  const asked = [...rows.keys()].slice(0, MOST_LOADED);
  const messages = asked.length === 0 ? [] : await ports.spool.load(asked).catch(() => []);
  const loaded = new Map(asked.map((id, index) => [id, messages[index] ?? null]));
  return Array.from(rows.values(), (row) => {
    const message = loaded.get(row.id) ?? null;
    return { row, entry: message === null || message instanceof Error ? null : coldEntry(message, row) };
  });
}

/** Null when the message has left the queue meanwhile. */
export async function showMessage(
  ports: EnginePorts,
  state: QueueState,
  entry: Entry,
): Promise<MessageListing | null> {
  const { message } = entry;
  let header: string;
  try {
    header = (await readHeader(ports, message, MOST_HEADER_BYTES)).toString("utf8");
  } catch (error) {
    if (!state.entries.has(message.id) && !state.backlog.has(message.id)) return null;
    header = `(cannot be read: ${error instanceof Error ? error.message : String(error)})`;
  }
  return {
    pod: state.compiled?.podName ?? "",
    id: message.id,
    receivedAt: isoOf(message.receivedAt),
    expiresAt: isoOf(message.expiresAt),
    from: message.envelope.from,
    credential: message.credential,
    sendingDomain: message.sendingDomain,
    queueClass: message.queueClass ?? DEFAULT_CLASS,
    sizeBytes: message.sizeBytes,
    header,
    recipients: entry.recipients.map((recipient) => ({
      address: recipient.address,
      state: recipient.state.kind,
      attempts: recipient.attempts,
      dueAt: recipient.state.kind === "waiting" ? isoOf(recipient.state.dueAt) : null,
      last: lastOf(recipient.last),
    })),
  };
}

function rankIn({ compiled }: QueueState, queueClass: string): number {
  return compiled === null ? 0 : rankOf(queueClassOf(compiled, { queueClass }));
}

export function secondsSince(at: Instant, now: Instant): number {
  return Math.max(0, Math.floor((now - at) / 1000));
}

/** The rule that keeps most recipients of a site, since the first of them; of equals the one that is tried first. */
function mostCommon(bindings: readonly (Binding & { readonly parcel: Parcel })[]): Binding["rule"] {
  const counts = new Map<string, { rule: Binding["rule"]; count: number }>();
  for (const { parcel, rule } of bindings) {
    const known = counts.get(rule.kind);
    if (known === undefined) {
      counts.set(rule.kind, { rule, count: parcel.indices.length });
      continue;
    }
    known.count += parcel.indices.length;
    // The same restraint, on a message that came before. Instants of one form stand in order as text.
    if (rule.text === known.rule.text && (rule.since ?? "") < (known.rule.since ?? "")) known.rule = rule;
  }
  const [most] = [...counts.values()].sort((a, b) => b.count - a.count);
  return most?.rule ?? { kind: "Due", text: "due", since: null, until: null };
}
