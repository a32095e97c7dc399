/**
 * What a new configuration changes, as data: for the log line a person reads, and for whoever wants to act
 * on a part only. Pure. Names only, no secrets: a changed key or password is its owner's name.
 */
import { isDeepStrictEqual } from "node:util";

import type { RelayConfig } from "../contract/config.ts";
import type { ConfigFiles } from "./check.ts";
import type { GoodConfig } from "./read.ts";

/** Names that came, went and stayed with another content. */
export interface NamedChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

export interface ConfigDiff {
  /** A listener whose port or TLS changed is closed and opened: added and removed. */
  readonly listeners: NamedChanges;
  readonly credentials: NamedChanges;
  /** Changed also when a signing key has other bytes under the same name. */
  readonly domains: NamedChanges;
  /** Egress sources of this pod. */
  readonly sources: NamedChanges;
  readonly routes: NamedChanges;
  readonly certificate: boolean;
  /** Other top-level parts that differ, by their name in the document, and "pod.state". */
  readonly settings: readonly string[];
}

type Applied = Pick<GoodConfig, "config" | "pod" | "files">;

const settingNames = [
  "relay",
  "paused",
  "limits",
  "queue",
  "tlsOutbound",
  "dns",
  "delivery",
  "privacy",
] as const satisfies readonly (keyof RelayConfig)[];

/** `before` is null for the first configuration: everything is added. */
export function diffConfig(before: Applied | null, after: Applied): ConfigDiff {
  const [old, now] = [before?.config, after.config];
  return {
    listeners: named(old?.listeners, now.listeners, {
      name: ({ name, port, tls }) => `${name} (${port}, ${tls})`,
    }),
    credentials: named(old?.credentials, now.credentials, { name: (entry) => entry.name }),
    domains: named(old?.domains, now.domains, {
      name: (entry) => entry.domain,
      same: (one, other) =>
        one.dkim.every(({ file }) => sameFile(file, before?.files, after.files)) &&
        isDeepStrictEqual(one, other),
    }),
    sources: named(before?.pod.sources, after.pod.sources, { name: (entry) => entry.name }),
    routes: named(old?.routes, now.routes, { name: (entry) => entry.name }),
    certificate:
      old === undefined ||
      !isDeepStrictEqual(old.certificate, now.certificate) ||
      !Object.values(now.certificate).every((file) => sameFile(file, before?.files, after.files)),
    settings: [
      ...settingNames.filter((name) => !isDeepStrictEqual(old?.[name], now[name])),
      ...(before?.pod.state === after.pod.state ? [] : ["pod.state"]),
      // Order is what decides a route.
      ...(old !== undefined && !isDeepStrictEqual(namesOf(old.routes), namesOf(now.routes))
        ? ["route order"]
        : []),
    ],
  };
}

/** One line: "domains +a.example -b.example; certificate; limits". Long lists are cut. */
export function describeDiff(diff: ConfigDiff): string {
  const parts = (["listeners", "credentials", "domains", "sources", "routes"] as const).flatMap((part) => {
    const { added, removed, changed } = diff[part];
    const signs = [...marked("+", added), ...marked("-", removed), ...marked("~", changed)];
    return signs.length === 0 ? [] : [`${part} ${signs.join(" ")}`];
  });
  const told = [...parts, ...(diff.certificate ? ["certificate"] : []), ...diff.settings];
  return told.length === 0 ? "nothing" : told.join("; ");
}

const MOST_NAMES = 5;

function marked(sign: string, names: readonly string[]): string[] {
  const shown = names.slice(0, MOST_NAMES).map((name) => sign + name);
  return names.length > MOST_NAMES ? [...shown, `${sign}${names.length - MOST_NAMES} more`] : shown;
}

function named<T>(
  before: readonly T[] = [],
  after: readonly T[],
  {
    name,
    same = isDeepStrictEqual,
  }: { readonly name: (entry: T) => string; readonly same?: (one: T, other: T) => boolean },
): NamedChanges {
  const old = new Map(before.map((entry) => [name(entry), entry]));
  const now = new Map(after.map((entry) => [name(entry), entry]));
  return {
    added: [...now.keys()].filter((key) => !old.has(key)),
    removed: [...old.keys()].filter((key) => !now.has(key)),
    changed: [...now].flatMap(([key, entry]) => {
      const former = old.get(key);
      return former === undefined || same(former, entry) ? [] : [key];
    }),
  };
}

function namesOf(routes: RelayConfig["routes"]): string[] {
  return routes.map((route) => route.name);
}

function sameFile(name: string, before: ConfigFiles | undefined, after: ConfigFiles): boolean {
  const [old, now] = [before?.get(name), after.get(name)];
  return old !== undefined && now !== undefined && old.equals(now);
}
