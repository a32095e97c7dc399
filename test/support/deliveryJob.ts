/** A delivery job as the engine would hand it over, with only what a test says about it being special. */
import { Readable } from "node:stream";

import type { DeliveryJob } from "../../relay/smtp/delivery.ts";

export interface JobWishes extends Partial<Omit<DeliveryJob, "envelope" | "source" | "recipients" | "tls">> {
  readonly envelope?: Partial<DeliveryJob["envelope"]>;
  readonly source?: Partial<DeliveryJob["source"]>;
  readonly tls?: Partial<DeliveryJob["tls"]>;
  /** Addresses, or recipients with their parameters. */
  readonly to?: readonly (string | DeliveryJob["recipients"][number])[];
  readonly text?: string;
}

/** Towards these hosts, each a peer on 127.0.0.x listening at the same port. */
export function deliveryJob(
  hosts: readonly { readonly host: string; readonly port: number }[],
  wishes: JobWishes = {},
): DeliveryJob {
  const {
    envelope,
    source,
    tls,
    to = ["r@inbox.test"],
    text = "Subject: x\r\n\r\nhello\r\n",
    ...rest
  } = wishes;
  return {
    source: { name: "a", address: null, ehloName: "a.mail.test", ...source },
    site: "site.test",
    hosts: hosts.map(({ host }, index) => ({
      name: `mx${index + 1}.test`,
      preference: 10 * index,
      addresses: [host],
    })),
    port: hosts[0]?.port ?? 25,
    tls: { mode: "Opportunistic", implicit: false, minVersion: "TLSv1.2", ...tls },
    auth: null,
    envelope: {
      from: "s@sender.test",
      smtpUtf8: false,
      eightBitMime: false,
      requireTls: false,
      ...envelope,
    },
    sizeBytes: Buffer.byteLength(text),
    recipients: to.map((recipient) => (typeof recipient === "string" ? { address: recipient } : recipient)),
    content: () => Readable.from([Buffer.from(text)]),
    signal: new AbortController().signal,
    ...rest,
  };
}
