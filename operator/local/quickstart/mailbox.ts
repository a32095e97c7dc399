/** What the receiving server got: the newest messages, found by their Message-ID. */
import type { ReceivedMail } from "./receiver.ts";

const MOST_KEPT = 1000;
/** The header is looked through this far. */
const HEADER_BYTES = 64 * 1024;

export class Mailbox {
  readonly #mails = new Map<string, ReceivedMail>();
  #onMail: ((mail: ReceivedMail) => void) | null = null;

  take(mail: ReceivedMail): void {
    const header = mail.content.subarray(0, HEADER_BYTES).toString("latin1");
    const id = /^message-id:\s*(<[^>\r\n]+>)/im.exec(header)?.[1] ?? "";
    this.#mails.set(id, mail);
    for (const oldest of this.#mails.keys()) {
      if (this.#mails.size <= MOST_KEPT) break;
      this.#mails.delete(oldest);
    }
    this.#onMail?.(mail);
  }

  withIds(ids: readonly string[]): ReceivedMail[] {
    return ids.flatMap((id) => this.#mails.get(id) ?? []);
  }

  /** Told of each mail from now on. */
  listen(listener: (mail: ReceivedMail) => void): void {
    this.#onMail = listener;
  }
}
