/**
 * Stands in for relay/queue/fileSpool.ts in a relay under test: the same spool, with points around what is
 * asked of it, small sizes so that rolls and compactions come often, and a word to the harness about every
 * recipient whose end is recorded.
 */
import { openFileSpool as openReal } from "../../../relay/queue/fileSpool.ts";
import { nodeFiles } from "../../../relay/queue/files.ts";
import type { SpoolLimits } from "../../../relay/queue/log/limits.ts";
import type { QueuedMessage } from "../../../relay/message.ts";
import type { ContentWriter, RecipientUpdate, Spool } from "../../../relay/queue/spool.ts";
import { phase, pointedFiles } from "./files.ts";
import { tell, within } from "./hit.ts";

const sizes = process.env["CRASH_SIZES"];

export async function openFileSpool(options: Parameters<typeof openReal>[0]): Promise<Spool> {
  const limits = sizes === undefined ? {} : (JSON.parse(sizes) as Partial<SpoolLimits>);
  return pointedSpool(await openReal({ ...options, files: pointedFiles(nodeFiles), options: limits }));
}

function pointedSpool(spool: Spool): Spool {
  /** Local parts of recipients by message, to name those whose end is recorded. */
  const keys = new Map<string, readonly string[]>();
  const know = ({ id, recipients }: QueuedMessage) =>
    keys.set(
      id,
      recipients.map(({ address }) => address.slice(0, address.lastIndexOf("@"))),
    );
  return {
    async recover() {
      phase.isRecovering = true;
      const recovered = await within("recovery.before", "recovery.after", () => spool.recover());
      phase.isRecovering = false;
      const waiting = [...recovered.waiting];
      for (const message of await spool.load(waiting.map(({ id }) => id)))
        if (message !== null && !(message instanceof Error)) know(message);
      return { ...recovered, waiting };
    },
    async begin(id) {
      return pointedWriter(await spool.begin(id), know);
    },
    async record(updates) {
      const isFinal = updates.every(({ changes }) =>
        changes.every(({ recipient }) => recipient.state.kind !== "waiting"),
      );
      await within(
        isFinal ? "tombstone.before" : "deferral.before",
        isFinal ? "tombstone.after" : "deferral.after",
        async () => {
          await spool.record(updates);
          const ended = updates.flatMap((update) => endedIn(update, keys.get(update.id)));
          if (ended.length > 0) tell(`recorded ${ended.join(" ")}`);
        },
      );
    },
    recordUsage: (records) => spool.recordUsage(records),
    load: (ids) => spool.load(ids),
    atHand: (id) => spool.atHand(id),
    read: (id, range) => spool.read(id, range),
    get setAside() {
      return spool.setAside;
    },
    get health() {
      return spool.health;
    },
    onHealth: (listener) => spool.onHealth(listener),
    probe: () => spool.probe(),
    close: () => spool.close(),
  };
}

function pointedWriter(writer: ContentWriter, know: (message: QueuedMessage) => void): ContentWriter {
  return {
    id: writer.id,
    write: (...chunks) => writer.write(...chunks),
    async commit(message) {
      await within("commit.before", "commit.after", () => writer.commit(message));
      know(message);
    },
    abort: () => writer.abort(),
  };
}

function endedIn({ changes }: RecipientUpdate, keys: readonly string[] | undefined): string[] {
  return changes.flatMap(({ index, recipient }) =>
    recipient.state.kind === "waiting" ? [] : (keys?.[index] ?? []),
  );
}
