/**
 * What the engine moves: a message in memory (`Entry`), and the recipients of it that share a domain and
 * a due time (`Parcel`). A parcel is in exactly one place; its place says why it does not move.
 */
import type { Instant, Recipient, QueuedMessage } from "../message.ts";
import { isGreylisted } from "../policy/classifyReply.ts";
import type { Provider } from "../policy/providers.ts";
import type { HeapNode } from "./dueHeap.ts";
import type { Lane } from "./lanes.ts";
import type { Rank } from "./shares.ts";

export interface Entry {
  readonly message: QueuedMessage;
  /** Recipients as they stand now; `message.recipients` is how they came. */
  readonly recipients: Recipient[];
  readonly parcels: Set<Parcel>;
  /** Recipients not yet final. */
  waiting: number;
  expiry: HeapNode<Entry> | null;
  /** The lane that it counts for as long as it is in memory. */
  readonly lane: Lane | null;
}

/** The site a parcel is at, as the parcel sees it (siteQueue.ts). */
export interface Destination {
  readonly site: string;
  readonly provider: Provider;
  readonly size: number;
  readonly inFlight: number;
  delete(parcel: Parcel): void;
}

export type Place =
  /** Until `node.at`. */
  | { readonly kind: "scheduled"; readonly node: HeapNode<Parcel>; readonly since: Instant }
  /** Its sending domain is held. */
  | { readonly kind: "held" }
  /** Not in memory: it waits for its turn (only views see this). */
  | { readonly kind: "inLane"; readonly lane: Lane }
  /** No route matches. */
  | { readonly kind: "unrouted" }
  | { readonly kind: "resolving"; readonly since: Instant }
  /** `rank`: the priority it stands under there, which a new configuration may have changed since. */
  | { readonly kind: "ready"; readonly site: Destination; readonly since: Instant; readonly rank: Rank }
  | {
      readonly kind: "inFlight";
      readonly site: Destination;
      readonly source: string;
      readonly since: Instant;
    }
  /** The end is known and is being made durable. */
  | { readonly kind: "recording"; readonly since: Instant }
  | { readonly kind: "gone" };

export interface Parcel {
  readonly entry: Entry;
  readonly domain: string;
  /** Positions in `entry.recipients`. */
  indices: number[];
  readonly dueAt: Instant;
  /** Source that a greylisting receiver knows these recipients by. */
  readonly preferredSource: string | null;
  place: Place;
  /** Why it waits although due, when no limit says so: for example a signing failure. */
  note: string | null;
}

export function createEntry(message: QueuedMessage, lane: Lane | null = null): Entry {
  const recipients = message.recipients.map((recipient) => ({ ...recipient }));
  const waiting = recipients.filter((recipient) => recipient.state.kind === "waiting").length;
  return { message, recipients, parcels: new Set(), waiting, expiry: null, lane };
}

/** Puts waiting recipients into parcels by domain, due time and the source they must return from. */
export function pack(entry: Entry, indices: readonly number[]): Parcel[] {
  const parcels = new Map<string, Parcel>();
  for (const index of indices) {
    const recipient = entry.recipients[index];
    if (recipient === undefined || recipient.state.kind !== "waiting") continue;
    const preferredSource =
      recipient.last !== null && isGreylisted(recipient.last.rule) ? recipient.last.source : null;
    const key = `${recipient.state.dueAt} ${recipient.domain} ${preferredSource ?? ""}`;
    const parcel = parcels.get(key);
    if (parcel !== undefined) {
      parcel.indices.push(index);
      continue;
    }
    parcels.set(key, {
      entry,
      domain: recipient.domain,
      indices: [index],
      dueAt: recipient.state.dueAt,
      preferredSource,
      place: { kind: "gone" },
      note: null,
    });
  }
  return [...parcels.values()];
}

/** Splits off the first `count` recipients of a parcel; the rest stays where it was. */
export function splitOff(parcel: Parcel, count: number): Parcel {
  const part: Parcel = { ...parcel, indices: parcel.indices.slice(0, count) };
  parcel.indices = parcel.indices.slice(count);
  parcel.entry.parcels.add(part);
  return part;
}

export function recipientsOf(parcels: Iterable<Parcel>): number {
  let count = 0;
  for (const parcel of parcels) count += parcel.indices.length;
  return count;
}
