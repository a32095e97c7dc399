/**
 * What local mode has given out and gives out again at the next start: an address for each pod, a port of
 * this machine for each listener, the port of the loopback zone. Losing it costs only stability.
 */
import { readFileSync } from "node:fs";

import { z } from "zod";

import { writeFileAtomic } from "./files.ts";

const notes = z.strictObject({
  version: z.literal(1),
  /** By NAMESPACE/POD. */
  pods: z.record(z.string(), z.strictObject({ ip: z.ipv4(), portShift: z.int() })),
  /** Port clients connect to, by NAMESPACE/RELAY:LISTENER-PORT. */
  ports: z.record(z.string(), z.int().min(1).max(65_535)),
  zonePort: z.int().min(1).max(65_535).nullable(),
});
export type PodPlace = z.infer<typeof notes>["pods"][string];
type Content = z.infer<typeof notes>;

export class Notes {
  readonly #path: string;
  readonly #content: Content;

  /** A file that is missing or unreadable counts as empty. */
  constructor(path: string) {
    this.#path = path;
    this.#content = read(path);
  }

  get pods(): Readonly<Record<string, PodPlace>> {
    return this.#content.pods;
  }
  get ports(): Readonly<Record<string, number>> {
    return this.#content.ports;
  }
  get zonePort(): number | null {
    return this.#content.zonePort;
  }

  notePod(pod: string, place: PodPlace): void {
    const known = this.#content.pods[pod];
    if (known?.ip === place.ip && known.portShift === place.portShift) return;
    this.#content.pods[pod] = place;
    this.#save();
  }

  notePort(listener: string, port: number): void {
    if (this.#content.ports[listener] === port) return;
    this.#content.ports[listener] = port;
    this.#save();
  }

  noteZonePort(port: number): void {
    if (this.#content.zonePort === port) return;
    this.#content.zonePort = port;
    this.#save();
  }

  #save(): void {
    writeFileAtomic(this.#path, `${JSON.stringify(this.#content, null, 2)}\n`, { durable: false });
  }
}

function read(path: string): Content {
  try {
    return notes.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return { version: 1, pods: {}, ports: {}, zonePort: null };
  }
}
