/**
 * Answers of relays → lines to read. Pure. What comes from outside (addresses, headers, replies) is made
 * one line free of control characters before it is shown.
 */
import type { Explanation, MessageListing, QueueListing, SetAside, Unreadable } from "../contract/admin.ts";
import { oneLine, renderTable } from "../kit/table.ts";
import { type Calendar, countOf, listOf, nextTryOf, preciseTimeOf, sizeOf, spanOf, timeOf } from "./words.ts";

export interface Page extends Calendar {
  /** Characters in a line; null when piped. */
  readonly width: number | null;
  /** How the user calls this command, so that a line shown can be pasted: "npx smtp-relay". */
  readonly command: string;
  /** Options that must follow it to reach the same relays: " --state DIR", or nothing. */
  readonly options?: string;
}

type Site = QueueListing["sites"][number];
const NOTHING = "–";
/** The class of mail that nothing names one for (policy/queueClass.ts). */
const DEFAULT_CLASS = "default";

export function renderQueue(listings: readonly QueueListing[], page: Page, withIds: boolean): string[] {
  const sites = mergedSites(listings);
  const pods = listOf(
    listings.map((listing) => listing.pod),
    5,
  );
  if (sites.length === 0) return [`The queue is empty at ${pods}.`];
  // Who has no classes need not read of them.
  const classed = sites.some(({ site }) => site.queueClass !== DEFAULT_CLASS);
  const rows = sites.map(({ site, rules }) => [
    site.site,
    site.provider === "" ? NOTHING : site.provider,
    ...(classed ? [site.queueClass] : []),
    String(site.recipients),
    spanOf(site.oldestSeconds),
    nextTry(site, page),
    site.rule.kind === "Due"
      ? NOTHING
      : `${site.rule.text}${rules > 1 ? ` (${rules - 1} more at other pods)` : ""}`,
    ...(withIds ? [site.sample.join(" ")] : []),
  ]);
  const table = renderTable({
    columns: [
      { header: "SITE", shrinkTo: 16 },
      { header: "PROVIDER", shrinkTo: 8 },
      ...(classed ? [{ header: "CLASS", shrinkTo: 8 }] : []),
      { header: "QUEUED", align: "right" },
      { header: "OLDEST", align: "right" },
      { header: "NEXT TRY" },
      { header: "BINDING RULE", shrinkTo: 24 },
      ...(withIds ? [{ header: "OLDEST MESSAGES" }] : []),
    ],
    rows,
    width: page.width,
  });
  const total = sites.reduce((sum, { site }) => sum + site.recipients, 0);
  const oldest =
    sites.find(({ site }) => site.rule.kind !== "Due")?.site.sample[0] ?? sites[0]?.site.sample[0];
  return [
    ...table,
    "",
    `${countOf(total, "recipient")} at ${pods}.${oldest === undefined ? "" : ` Why one waits: ${page.command} explain ${oldest}${page.options ?? ""}`}`,
  ];
}

/** One row a site and class over all pods; the rule shown is that of the pod where most wait. */
function mergedSites(listings: readonly QueueListing[]): { site: Site; rules: number }[] {
  const merged = new Map<string, { site: Site; most: number; rules: Set<string> }>();
  for (const site of listings.flatMap((listing) => listing.sites)) {
    const key = `${site.provider}\n${site.site}\n${site.queueClass}`;
    const known = merged.get(key);
    if (known === undefined) {
      merged.set(key, { site, most: site.recipients, rules: new Set([site.rule.text]) });
      continue;
    }
    known.rules.add(site.rule.text);
    const leading = site.recipients > known.most ? site : known.site;
    known.most = Math.max(known.most, site.recipients);
    known.site = {
      ...leading,
      recipients: known.site.recipients + site.recipients,
      oldestSeconds: Math.max(known.site.oldestSeconds, site.oldestSeconds),
      nextTryAt: earliest(known.site.nextTryAt, site.nextTryAt),
      // Ids are ULIDs: their order is that of acceptance.
      sample: [...known.site.sample, ...site.sample].toSorted().slice(0, 5),
    };
  }
  return [...merged.values()]
    .map(({ site, rules }) => ({ site, rules: rules.size }))
    .toSorted((a, b) => b.site.recipients - a.site.recipients || a.site.site.localeCompare(b.site.site));
}

function earliest(a: string | null, b: string | null): string | null {
  if (a === null || b === null) return a ?? b;
  return Date.parse(a) <= Date.parse(b) ? a : b;
}

function nextTry(site: Site, page: Page): string {
  if (site.nextTryAt !== null) return nextTryOf(site.nextTryAt, page);
  return site.rule.kind === "InFlight" ? "in flight" : NOTHING;
}

export function renderMessage(message: MessageListing, page: Page): string[] {
  const from = message.from === "" ? "<> (a delivery status notification)" : message.from;
  const facts = [
    `id         ${message.id} at ${message.pod}`,
    `from       ${oneLine(from)}`,
    `accepted   ${preciseTimeOf(message.receivedAt, page)}${by(message)}, ${sizeOf(message.sizeBytes)}`,
    ...(message.queueClass === DEFAULT_CLASS ? [] : [`class      ${oneLine(message.queueClass)}`]),
    `expires    ${timeOf(message.expiresAt, page)}`,
  ];
  const recipients = renderTable({
    columns: [
      { header: "RECIPIENT", shrinkTo: 16 },
      { header: "STATE" },
      { header: "TRIES", align: "right" },
      { header: "NEXT TRY" },
      { header: "LAST ANSWER", shrinkTo: 24 },
    ],
    rows: message.recipients.map((recipient) => [
      recipient.address,
      recipient.state,
      String(recipient.attempts),
      recipient.dueAt === null ? NOTHING : nextTryOf(recipient.dueAt, page),
      recipient.last === null ? NOTHING : answerOf(recipient.last),
    ]),
    width: page.width,
  });
  const header = message.header.split(/\r?\n/).filter((line) => line !== "");
  return [
    ...facts,
    "",
    ...recipients,
    "",
    "header",
    ...header.map((line) => `  ${oneLine(line.replace(/^\t/, "    "))}`),
  ];
}

export function renderSetAside(
  { id, pod, receivedAt, sizeBytes, setAsideAt, reason }: SetAside,
  page: Page,
): string[] {
  return [
    `accepted ${preciseTimeOf(receivedAt, page)} by ${pod}, ${sizeOf(sizeBytes)}`,
    `aside    since ${preciseTimeOf(setAsideAt, page)}; it is kept, and sent to nobody`,
    `because  ${oneLine(reason)}`,
    `next     stop the relay; smtp-relay spool export FOLDER DIR saves what is left of ${id} in DIR/lost`,
  ];
}

export function renderUnreadable({ pod, receivedAt, reason, next }: Unreadable, page: Page): string[] {
  return [
    `accepted ${preciseTimeOf(receivedAt, page)} by ${pod}`,
    `because  ${oneLine(reason)}`,
    `next     ${oneLine(next)}`,
  ];
}

export function renderExplanation(explanation: Explanation, page: Page): string[] {
  const lines = [
    `accepted ${preciseTimeOf(explanation.receivedAt, page)} by ${explanation.pod}${by(explanation)}, ` +
      (explanation.queueClass === DEFAULT_CLASS
        ? ""
        : `class ${oneLine(explanation.queueClass)} (priority ${explanation.priority}), `) +
      `${sizeOf(explanation.sizeBytes)}, ${countOf(explanation.recipientCount, "recipient")}`,
  ];
  const groups = grouped(explanation.waiting);
  if (groups.length === 0)
    lines.push("waiting  nobody: every recipient has a result, which is being recorded");
  for (const group of groups) {
    const { first, addresses } = group;
    const whom = `${listOf(addresses)} (${first.provider === "" ? "" : `${first.provider}, `}${first.site})`;
    const since = first.rule.since === null ? "" : `since ${preciseTimeOf(first.rule.since, page)}; `;
    const next =
      first.nextTryAt === null
        ? first.rule.kind === "InFlight"
          ? "in flight now"
          : "no next try is known"
        : `next try ${Date.parse(first.nextTryAt) <= page.now ? "now" : preciseTimeOf(first.nextTryAt, page)}`;
    lines.push(
      `waiting  ${oneLine(whom)}`,
      `         ${since}${next}; expires ${timeOf(explanation.expiresAt, page)}`,
    );
    const until = first.rule.until === null ? "" : ` (until ${preciseTimeOf(first.rule.until, page)})`;
    lines.push(`because  ${oneLine(first.rule.text)}${first.rule.text.includes("until") ? "" : until}`);
    if (first.nextLimits.length > 0)
      lines.push(`         next limits: ${oneLine(first.nextLimits.join("; "))}`);
    if (first.last === null) lines.push("tried    not yet");
    else {
      const tries = first.attempts > 1 ? ` (attempt ${first.attempts})` : "";
      lines.push(
        `tried    ${preciseTimeOf(first.last.at, page)} ${pathOf(first.last)}: ${answerOf(first.last)}${tries}`,
      );
    }
  }
  return lines;
}

type Waiting = Explanation["waiting"][number];

/** Recipients for whom all is the same are told of once. */
function grouped(waiting: readonly Waiting[]): { first: Waiting; addresses: string[] }[] {
  const groups = new Map<string, { first: Waiting; addresses: string[] }>();
  for (const each of waiting) {
    const { address, ...rest } = each;
    const key = JSON.stringify(rest);
    const known = groups.get(key);
    if (known === undefined) groups.set(key, { first: each, addresses: [address] });
    else known.addresses.push(address);
  }
  return [...groups.values()];
}

function by(message: { readonly credential: string | null; readonly sendingDomain: string | null }): string {
  if (message.credential === null && message.sendingDomain === null) return "";
  const domain = message.sendingDomain === null ? "" : ` (${message.sendingDomain})`;
  return ` from ${message.credential ?? "a trusted network"}${domain}`;
}

function pathOf(last: NonNullable<Waiting["last"]>): string {
  return oneLine(
    [last.source, last.host].filter((part) => part !== null).join(" → ") || "without a connection",
  );
}

function answerOf(last: NonNullable<Waiting["last"]>): string {
  const code = last.code === 0 ? "" : String(last.code);
  const enhanced = last.enhanced !== null && last.code !== 0 ? last.enhanced : "";
  return oneLine([code, enhanced, last.text].filter((part) => part !== "").join(" "));
}
