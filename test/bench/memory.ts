/** Memory of ours: at rest, under load, and for sessions that are open and say nothing. */
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

import type { MemoryCase } from "./cases.ts";
import { send, startSink } from "./load.ts";
import { memoryMib } from "./machine.ts";
import { startOurs } from "./relays.ts";

export interface Memory {
  readonly case: string;
  /** Largest proportional memory seen, MiB. */
  readonly mib: number;
  /** What a session adds, KiB: greeted, and after its EHLO. */
  readonly kibPerSession?: { readonly greeted: number; readonly afterEhlo: number };
}

const SETTLE_MS = 3000;
const LOOK_MS = 200;
/** Connections opened at a time: a listener's backlog is finite. */
const STRIDE = 100;

export async function runMemory(entry: MemoryCase): Promise<Memory> {
  await using sink = await startSink();
  await using relay = await startOurs({ sinkPort: sink.port, setup: "plain" });
  await sleep(SETTLE_MS);
  const round = (value: number) => Math.round(value * 10) / 10;
  const idle = memoryMib(relay.pid);
  switch (entry.of) {
    case "idle":
      return { case: entry.name, mib: round(idle) };
    case "load": {
      let most = idle;
      const look = setInterval(() => (most = Math.max(most, memoryMib(relay.pid))), LOOK_MS);
      const load = { sessions: entry.sessions, messages: 5000, bytes: 10_240, perConnection: false };
      for (let round = 0; round < 4; round++) await send(relay.port, sink, load);
      clearInterval(look);
      return { case: entry.name, mib: round(most) };
    }
    case "idleSessions": {
      const sockets: Socket[] = [];
      for (let opened = 0; opened < entry.sessions; opened += STRIDE) {
        const some = Array.from({ length: STRIDE }, () => connect(relay.port, "127.0.0.1"));
        await Promise.all(some.map((socket) => once(socket, "data")));
        sockets.push(...some);
      }
      await sleep(SETTLE_MS);
      const greeted = memoryMib(relay.pid);
      for (let start = 0; start < sockets.length; start += STRIDE) {
        const some = sockets.slice(start, start + STRIDE);
        const answered = some.map((socket) => once(socket, "data"));
        for (const socket of some) socket.write("EHLO client.example.test\r\n");
        await Promise.all(answered);
      }
      await sleep(SETTLE_MS);
      const afterEhlo = memoryMib(relay.pid);
      for (const socket of sockets) socket.destroy();
      const each = (mib: number) => round(((mib - idle) * 1024) / entry.sessions);
      return {
        case: entry.name,
        mib: round(afterEhlo),
        kibPerSession: { greeted: each(greeted), afterEhlo: each(afterEhlo) },
      };
    }
  }
}
