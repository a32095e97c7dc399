/**
 * May something of this site start now, and from which source? If not: the one limit that binds, in
 * words a person can act on. Asked before each transaction, and by `explain`, so that both say the same.
 */
import type { EgressSource } from "../contract/config.ts";
import type { Instant } from "../message.ts";
import { TOTAL, usedPart } from "../policy/allowance.ts";
import { chooseSource } from "../policy/chooseSource.ts";
import { dayFraction, utcDay } from "../policy/utcDay.ts";
import type { CompiledConfig } from "./compiledConfig.ts";
import { sourcesOf } from "./compiledConfig.ts";
import type { AllowanceMeter } from "./meter.ts";
import type { PathBook, PathGrant } from "./paths.ts";
import type { Plumbing } from "./plumbing.ts";
import type { Block, SiteQueue } from "./siteQueue.ts";

export type SiteAdmission =
  | { readonly kind: "admitted"; readonly source: EgressSource }
  | { readonly kind: "blocked"; readonly block: Block };

export interface AdmissionFacts {
  readonly compiled: CompiledConfig;
  readonly meter: AllowanceMeter;
  readonly paths: PathBook;
  readonly plumbing: Plumbing;
}

export function admitSite(
  facts: AdmissionFacts,
  queue: Pick<SiteQueue, "site" | "provider" | "route">,
  preferredSource: string | null,
  now: Instant,
  draw: number,
): SiteAdmission {
  const { compiled, meter, paths, plumbing } = facts;
  const { provider, site, route } = queue;
  const sources = new Map(sourcesOf(compiled, route).map((source) => [source.name, source] as const));
  const grants = new Map<string, PathGrant>();
  const candidates = [...sources.values()].map((source) => {
    const grant = paths.grant(source.name, provider, site, now);
    grants.set(source.name, grant);
    const room = meter.headroom(source, provider.name, 1, now);
    const usedNow = (counter: string) => meter.used(source.name, counter, now);
    return {
      name: source.name,
      pausedBecause:
        source.state === "Paused" ? source.stateReason : (plumbing.of(source.name)?.reason ?? null),
      suspendedUntil: grant.suspended?.until ?? null,
      connectionsInUse: grant.inUse,
      connections: grant.connections,
      exhaustedUntil: room.kind === "exhausted" ? room.until : null,
      usedPart: usedPart(source.allowance, provider.name, usedNow, now),
    };
  });
  const choice = chooseSource(candidates, preferredSource, dayFraction(now), draw);
  const peer = provider.name === "other" ? `site ${site}` : `provider ${provider.name}`;
  const exhausted = candidates.some(({ exhaustedUntil }) => exhaustedUntil !== null);
  type Told = Omit<Block, "reportText" | "provider" | "exhausted"> & Partial<Block>;
  const blocked = (block: Told): SiteAdmission => ({
    kind: "blocked",
    block: { reportText: block.text, provider: provider.name, exhausted, ...block },
  });

  switch (choice.kind) {
    case "chosen": {
      const source = sources.get(choice.name);
      if (source === undefined) throw new Error(`Cannot send from ${choice.name}: it was not a candidate.`);
      return { kind: "admitted", source };
    }
    case "busy": {
      const grant = grants.get(choice.name);
      const limit = grant?.connections ?? 0;
      const recovering = grant?.recovering ?? null;
      const why = grant?.unproven
        ? "the first messages to a site have to go well before it gets more"
        : recovering === null
          ? `the limit of ${provider.name === "other" ? "a site" : provider.name} (${provider.source})`
          : `recovering from ${recovering.reason} (rule ${recovering.rule})`;
      return blocked({
        kind: "ConnectionLimit",
        source: choice.name,
        text: `all ${limit} connection${limit === 1 ? "" : "s"} of address ${choice.name} to ${peer} are in use: ${why}`,
        reportText: `all ${limit} connections are in use: ${why}`,
        since: now,
        until: null,
      });
    }
    case "suspended": {
      const suspended = grants.get(choice.name)?.suspended;
      const until = timeOf(choice.until);
      const fact =
        suspended === undefined || suspended === null ? "" : `${suspended.reason}, rule ${suspended.rule}`;
      return blocked({
        kind: "Backoff",
        source: choice.name,
        text:
          suspended?.about === "session"
            ? `site ${site} is not tried from address ${choice.name} until ${until} (${fact})`
            : `${peer} on address ${choice.name} is silent until ${until} (${fact})`,
        since: suspended?.since ?? now,
        until: choice.until,
      });
    }
    case "exhausted": {
      const source = sources.get(choice.name);
      const verdict = source === undefined ? null : meter.headroom(source, provider.name, 1, now);
      const binding = verdict?.kind === "exhausted" ? verdict.binding : TOTAL;
      const limit = verdict?.kind === "exhausted" ? verdict.limit : 0;
      const used = verdict?.kind === "exhausted" ? verdict.used : 0;
      const whose = binding === TOTAL ? "" : ` for ${binding}`;
      const fact = `${used} of ${limit} used${whose} on ${choice.name} (warm-up, ${utcDay(now)})`;
      return blocked({
        kind: "Allowance",
        source: choice.name,
        provider: binding,
        text: `the day's allowance is spent: ${fact}; sending goes on at ${timeOf(choice.until)}`,
        reportText: fact,
        since: meter.exhaustedSince(choice.name, binding, now),
        until: choice.until,
      });
    }
    case "paused": {
      const missing = plumbing.of(choice.name);
      if (missing !== null && sources.get(choice.name)?.state === "Active") {
        return blocked({
          kind: "SourceMissing",
          source: choice.name,
          text: `address ${choice.name} is not on this pod: ${missing.reason}`,
          since: missing.since,
          until: null,
        });
      }
      return blocked({
        kind: "SourcePaused",
        source: choice.name,
        text: `address ${choice.name} is paused: ${choice.because || "no reason given"}`,
        since: compiled.sourcePausedSince.get(choice.name) ?? compiled.appliedAt,
        until: null,
      });
    }
    case "none":
      return blocked({
        kind: "NoSource",
        source: null,
        text: `pod ${compiled.podName} has no address of pool ${route.to.pool ?? "–"} (route ${route.name})`,
        since: compiled.appliedAt,
        until: null,
      });
  }
}

/** "2026-11-23 14:12:00Z", as people read it. */
export function timeOf(at: Instant): string {
  return new Date(at)
    .toISOString()
    .replace("T", " ")
    .replace(/\.\d{3}Z$/, "Z");
}
