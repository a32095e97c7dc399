/**
 * What the bench measures, as data. Each kind has a runner (runners.ts); a new case of a known kind is a line
 * here, a new kind a runner there.
 */
import type { Load } from "./load.ts";

/** How the relays stand: a setup is started once a repetition, and all its cases are measured in it. */
export type Setup = "plain" | "signed" | "tls";

/** Ours against peers, interleaved. */
export interface RateCase {
  readonly kind: "rate";
  readonly name: string;
  readonly setup: Setup;
  readonly load: Load;
  readonly peers: readonly string[];
}

/** What the kernel counted of ours: the same in every run, whatever else the machine does. */
export interface CountCase {
  readonly kind: "count";
  readonly name: string;
  readonly load: Load;
}

/** Memory of ours, as the kernel shares it out (PSS). */
export interface MemoryCase {
  readonly kind: "memory";
  readonly name: string;
  readonly of: "idle" | "load" | "idleSessions";
  /** Sessions open; 0: none. */
  readonly sessions: number;
}

export type Case = RateCase | CountCase | MemoryCase;

const KIB = 1024;
const postfix = ["postfix-tuned"];
const kept = (kib: number, sessions: number, messages: number): Load => ({
  bytes: kib * KIB,
  sessions,
  messages,
  perConnection: false,
});

export const cases: readonly Case[] = [
  rate("10KiB-1", "plain", kept(10, 1, 600)),
  rate("10KiB-20", "plain", kept(10, 20, 1500), [...postfix, "haraka"]),
  rate("10KiB-100", "plain", kept(10, 100, 1500)),
  rate("50KiB-20", "plain", kept(50, 20, 1000)),
  rate("10KiB-20-perconnection", "plain", { ...kept(10, 20, 1000), perConnection: true }),
  rate("10KiB-20-signed", "signed", kept(10, 20, 1500)),
  rate("10KiB-20-tls", "tls", kept(10, 20, 1500)),
  { kind: "count", name: "counts-10KiB-1", load: kept(10, 1, 1000) },
  { kind: "count", name: "counts-10KiB-20", load: kept(10, 20, 4000) },
  { kind: "count", name: "counts-10KiB-100", load: kept(10, 100, 8000) },
  { kind: "memory", name: "memory-idle", of: "idle", sessions: 0 },
  { kind: "memory", name: "memory-100-sessions", of: "load", sessions: 100 },
  { kind: "memory", name: "memory-5000-idle-sessions", of: "idleSessions", sessions: 5000 },
];

function rate(name: string, setup: Setup, load: Load, peers: readonly string[] = postfix): RateCase {
  return { kind: "rate", name, setup, load, peers };
}
