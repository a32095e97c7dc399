/**
 * What is known of paths now: their shaping state (policy/shaping.ts) and the transactions under way.
 *
 * Two states a transaction: of the session (source → site: do connections come about?) and of the
 * standing (source → provider, or site where no provider is known: what do they think of us?). A tenant's
 * server that is down thus stops no other tenant of the same provider.
 */
import { forgetOldest } from "../kit/forgetOldest.ts";
import type { RelayConfig } from "../contract/config.ts";
import type { Restraint } from "../contract/report.ts";
import type { Instant } from "../message.ts";
import type { PathEvent, PathFindings } from "../policy/decide.ts";
import { peerKey } from "../policy/provider.ts";
import type { Provider } from "../policy/providers.ts";
import { admission, openPath, type PathState, step } from "../policy/shaping.ts";

/** States kept; beyond it the ones unheard of for longest are forgotten, open ones only. */
const MOST_PATHS = 20_000;
/**
 * Connections to a site until a session with it has gone well, and for how long that is believed: a tarpit
 * gets no more of ours than this. Postfix begins with five (initial_destination_concurrency).
 */
const UNPROVEN_CONNECTIONS = 2;
const PROOF_MS = 60 * 60_000;
/** The first and longest silence after failed sessions, as parts of the retry delays: 60 s and 30 min. */
const FAILURE_PARTS = { first: 1 / 5, longest: 1 / 8 } as const;

interface Path {
  readonly source: string;
  readonly provider: string;
  state: PathState;
}

/** What a path grants a source for a site. */
export interface PathGrant {
  readonly connections: number;
  readonly inUse: number;
  readonly suspended: {
    readonly since: Instant;
    readonly until: Instant;
    readonly rule: string;
    readonly reason: string;
    /** Of the session, or of the standing with the provider. */
    readonly about: "session" | "standing";
  } | null;
  /** No session has gone well there lately, and that is what keeps the connections few. */
  readonly unproven: boolean;
  /** Set while fewer connections than usual are had. */
  readonly recovering: { readonly rule: string; readonly reason: string } | null;
}

export class PathBook {
  readonly #paths = new Map<string, Path>();
  readonly #inFlight = new Map<string, number>();

  grant(source: string, provider: Provider, site: string, now: Instant): PathGrant {
    let connections = provider.connections;
    let inUse = 0;
    let suspended: PathGrant["suspended"] = null;
    let recovering: PathGrant["recovering"] = null;
    let unproven = false;
    for (const about of ["session", "standing"] as const) {
      const key = pathKey(about, source, provider, site);
      const state = this.#paths.get(key)?.state ?? openPath;
      const cause = state.cause ?? { rule: "", reason: "" };
      const verdict = admission(state, provider.connections, now);
      if (verdict.kind === "suspended") {
        if (suspended === null || suspended.until < verdict.until) {
          suspended = { since: verdict.since, until: verdict.until, ...cause, about };
        }
        continue;
      }
      const used = this.#inFlight.get(key) ?? 0;
      const isNew = about === "session" && !provenBy(state, now);
      const granted = isNew ? Math.min(verdict.connections, UNPROVEN_CONNECTIONS) : verdict.connections;
      if (verdict.recovering) recovering = cause;
      // The tighter of the two binds.
      if (granted - used < connections - inUse) {
        connections = granted;
        inUse = used;
        unproven = granted < verdict.connections;
      }
    }
    return { connections, inUse, suspended, recovering, unproven };
  }

  /** Whether a session of this source with this site has gone well lately. */
  isProven(source: string, provider: Provider, site: string, now: Instant): boolean {
    const state = this.#paths.get(pathKey("session", source, provider, site))?.state;
    return state !== undefined && provenBy(state, now);
  }

  /** Whether the peer behind a site has no connection left for this source, whatever the site. */
  isFull(source: string, provider: Provider, site: string, now: Instant): boolean {
    const key = pathKey("standing", source, provider, site);
    const verdict = admission(this.#paths.get(key)?.state ?? openPath, provider.connections, now);
    return verdict.kind === "suspended" || (this.#inFlight.get(key) ?? 0) >= verdict.connections;
  }

  started(source: string, provider: Provider, site: string): void {
    for (const about of ["session", "standing"] as const) {
      const key = pathKey(about, source, provider, site);
      this.#inFlight.set(key, (this.#inFlight.get(key) ?? 0) + 1);
    }
  }

  ended(source: string, provider: Provider, site: string): void {
    for (const about of ["session", "standing"] as const) {
      const key = pathKey(about, source, provider, site);
      const left = (this.#inFlight.get(key) ?? 0) - 1;
      if (left > 0) this.#inFlight.set(key, left);
      else this.#inFlight.delete(key);
    }
  }

  /** Folds what a transaction told. Gives the events that made a path quieter, for the log. */
  learn(
    source: string,
    provider: Provider,
    site: string,
    found: PathFindings,
    retry: RelayConfig["queue"]["retry"],
    now: Instant,
    draw: number,
  ): { readonly about: "session" | "standing"; readonly event: PathEvent; readonly state: PathState }[] {
    const quieter: { about: "session" | "standing"; event: PathEvent; state: PathState }[] = [];
    const failureSeconds = {
      first: retry.firstDelaySeconds * FAILURE_PARTS.first,
      longest: Math.max(
        retry.longestDelaySeconds * FAILURE_PARTS.longest,
        retry.firstDelaySeconds * FAILURE_PARTS.first,
      ),
    };
    const fold = (about: "session" | "standing", event: PathEvent) => {
      const key = pathKey(about, source, provider, site);
      const before = this.#paths.get(key)?.state ?? openPath;
      const limits = { connections: provider.connections, failureSeconds, forgiving: about === "session" };
      const state = step(before, event, limits, now, draw);
      // Put back at the end: the map's order is that of the latest news.
      this.#paths.delete(key);
      this.#paths.set(key, { source, provider: provider.name, state });
      if (state.phase !== before.phase && event.kind !== "succeeded") quieter.push({ about, event, state });
    };
    if (found.session !== null) fold("session", found.session);
    for (const event of found.standing) fold("standing", event);
    this.#bound();
    return quieter;
  }

  /** Backoffs in force, like ones together: a report names providers, never sites. */
  restraints(now: Instant): Restraint[] {
    const groups = new Map<string, Restraint & { readonly paths: number }>();
    for (const { source, provider, state } of this.#paths.values()) {
      const verdict = admission(state, 1, now);
      if (state.cause === null || (verdict.kind === "allowed" && !verdict.recovering)) continue;
      const until = verdict.kind === "suspended" ? verdict.until : null;
      const since = state.phase.kind === "Open" ? now : state.phase.since;
      const silent = verdict.kind === "suspended";
      // Text of failed sessions may name hosts: the rule alone says what happened.
      const fact = state.cause.rule.startsWith("session/") ? "no session" : state.cause.reason;
      const reason = `${fact} (rule ${state.cause.rule})${silent ? "" : ", recovering with fewer connections"}`;
      const key = `${source} ${provider} ${reason}`;
      const same = groups.get(key);
      groups.set(key, {
        source,
        provider,
        kind: "Backoff",
        reason,
        since: new Date(Math.min(since, same === undefined ? since : Date.parse(same.since))).toISOString(),
        until: later(until, same?.until ?? null),
        paths: (same?.paths ?? 0) + 1,
      });
    }
    return [...groups.values()].map(({ paths, ...restraint }) =>
      paths === 1 ? restraint : { ...restraint, reason: `${paths} sites: ${restraint.reason}` },
    );
  }

  #bound(): void {
    if (this.#paths.size <= MOST_PATHS) return;
    // Many at once, as forgetOldest.ts says; those that hold nothing back first.
    let count = MOST_PATHS / 16;
    for (const [key, { state }] of this.#paths) {
      if (state.phase.kind !== "Open") continue;
      this.#paths.delete(key);
      if (--count === 0) return;
    }
    forgetOldest(this.#paths, MOST_PATHS);
  }
}

function provenBy({ lastSuccessAt }: PathState, now: Instant): boolean {
  return now - lastSuccessAt <= PROOF_MS;
}

function pathKey(about: "session" | "standing", source: string, provider: Provider, site: string): string {
  return about === "session"
    ? `${source} session ${site}`
    : `${source} standing ${peerKey(provider.name, site)}`;
}

function later(until: Instant | null, other: string | null): string | null {
  if (until === null) return other;
  return new Date(Math.max(until, other === null ? until : Date.parse(other))).toISOString();
}
