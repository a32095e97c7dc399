/** Our spool as it is, through the port that the relay uses. */
import { systemClock } from "../../../../relay/kit/clock.ts";
import { silentLog } from "../../../../relay/kit/log.ts";
import { openFileSpool } from "../../../../relay/queue/fileSpool.ts";
import type { SpoolLimits } from "../../../../relay/queue/log/limits.ts";
import type { Store } from "../engine.ts";

export async function openOwn(directory: string, options: Partial<SpoolLimits> = {}): Promise<Store> {
  const spool = await openFileSpool({ directory, clock: systemClock, log: silentLog, options });
  return {
    recover: async () => (await spool.recover()).waiting,
    async put(message, content) {
      const writer = await spool.begin(message.id);
      for (const piece of content) await writer.write(piece);
      await writer.commit(message);
    },
    record: (update) => spool.record([update]),
    async read(id, onPiece) {
      const [message] = await spool.load([id]);
      if (message === undefined || message === null || message instanceof Error)
        throw message ?? new Error(`Message ${id} is not there.`);
      for await (const piece of spool.read(id)) onPiece(piece as Buffer);
      return message;
    },
    async remove(id) {
      const state = { kind: "delivered", at: systemClock.now() } as const;
      await spool.record([{ id, changes: [{ index: 0, recipient: { state, attempts: 1, last: null } }] }]);
    },
    close: () => spool.close(),
  };
}
