/** The queue by site, and one message, as the admin socket gives them to a person on the machine. */
import type { MessageListing, QueueListing } from "../contract/admin.ts";
import type { Instant } from "../message.ts";
import { DEFAULT_CLASS, rankOf } from "../policy/queueClass.ts";
import { type Binding, bind } from "./binding.ts";
import { queueClassOf } from "./compiledConfig.ts";
import type { EnginePorts } from "./enginePorts.ts";
import { isoOf, lastOf } from "./explain.ts";
import { readHeader } from "./notices.ts";
import type { Entry, Parcel } from "./parcel.ts";
import { type QueueState, whereTo } from "./queueState.ts";

/** Parcels of a site that are asked why they wait; the earliest due ones stand for the rest. */
const MOST_ASKED = 100;
const MOST_SAMPLED = 5;
/** Header bytes shown. */
const MOST_HEADER_BYTES = 8192;

export function listQueue(state: QueueState, now: Instant): QueueListing {
  interface Group {
    readonly site: string;
    readonly provider: string;
    readonly queueClass: string;
    readonly parcels: Parcel[];
  }
  const groups = new Map<string, Group>();
  for (const entry of state.entries.values()) {
    const queueClass = entry.message.queueClass ?? DEFAULT_CLASS;
    for (const parcel of entry.parcels) {
      const { site, provider } = whereTo(state, parcel);
      const key = `${provider.name} ${site} ${queueClass}`;
      const group = groups.get(key);
      if (group !== undefined) group.parcels.push(parcel);
      else groups.set(key, { site, provider: provider.name, queueClass, parcels: [parcel] });
    }
  }
  const sites = [...groups.values()].map(({ site, provider, queueClass, parcels }) => {
    const asked = parcels.toSorted((a, b) => a.dueAt - b.dueAt).slice(0, MOST_ASKED);
    const cache = new Map();
    const bindings = asked.map((parcel) => ({ parcel, ...bind(state, parcel, now, cache) }));
    const oldest = parcels.toSorted((a, b) => a.entry.message.receivedAt - b.entry.message.receivedAt);
    const tries = bindings.flatMap(({ nextTryAt }) => nextTryAt ?? []);
    return {
      site,
      provider,
      queueClass,
      recipients: parcels.reduce((sum, parcel) => sum + parcel.indices.length, 0),
      oldestSeconds: secondsSince(oldest[0]?.entry.message.receivedAt ?? now, now),
      nextTryAt: tries.length === 0 ? null : isoOf(Math.min(...tries)),
      rule: mostCommon(bindings),
      sample: [...new Set(oldest.map(({ entry }) => entry.message.id))].slice(0, MOST_SAMPLED),
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
    if (!state.entries.has(message.id)) return null;
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

/** The rule that keeps most recipients of a site; of equals the one that is tried first. */
function mostCommon(bindings: readonly (Binding & { readonly parcel: Parcel })[]): Binding["rule"] {
  const counts = new Map<string, { rule: Binding["rule"]; count: number }>();
  for (const { parcel, rule } of bindings) {
    const known = counts.get(rule.kind);
    if (known === undefined) counts.set(rule.kind, { rule, count: parcel.indices.length });
    else known.count += parcel.indices.length;
  }
  const [most] = [...counts.values()].sort((a, b) => b.count - a.count);
  return most?.rule ?? { kind: "Due", text: "due", since: null, until: null };
}
