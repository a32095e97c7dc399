/**
 * `npm run crash`: kills a relay under load, at named points and at random instants, with and without power
 * loss, and counts what was lost and what came twice. `--help` tells all; docs/reliability.md what it proves.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { renderTable } from "../../relay/kit/table.ts";
import { missingPeers } from "../support/peers/debian.ts";
import { seededRandom } from "../support/seededRandom.ts";
import { Deck } from "./deck.ts";
import type { DiskModel } from "./disk/disk.ts";
import { addTotals, noTotals, type Totals } from "./ledger.ts";
import { points } from "./points/table.ts";
import { type RoundOptions, runRound } from "./round.ts";
import { byCommand, ours, postfix, type TargetKind } from "./targets.ts";

const usage = `usage: npm run crash -- [--kills N] [--seed S] [--relay ours|postfix]… [--json]
       npm run crash -- --target 'START COMMAND' --host H --port P --sink-port Q [--spool FOLDER]… [--kills N]

Submits mail by four well-behaved sessions, ends the relay by kill -9, starts it again, and goes on; in the
end it waits until the relay is empty and closes the books. A recipient is accepted when its 250 was seen,
final when the sink took it, or, where the sink refuses it for good, took the bounce to its sender.

  --kills N        how many, for each relay (300)
  --seed S         what chance begins with; printed, and the same plan again with the same seed (1)
  --relay NAME     ours, postfix, or both by giving it twice (ours)
  --point NAME     end lives of ours at this point only; repeatable; --points lists them
  --disk MODEL     what each kill does to the spool's disk (mixed):
                     none         nothing: the process dies, the machine lives
                     strict       power loss; only what was synced is kept, names only by a sync of their folder
                     journalled   power loss; names are kept in order, with any sync (ext4, XFS)
                     mixed        rounds of none and of strict by turns (journalled for Postfix)
  --healthy        no failing syncs, full, read-only and slow disks among the lives with power loss
  --lanes N        relays side by side (${availableParallelism()}, the cores of this machine)
  --round N        kills until the books are closed and a fresh spool begins (50)
  --settle MS      a relay that does not tell what it has recorded: what ended so short before a kill was in
                   flight (250)
  --json           the result as one JSON document on standard output
  --target COMMAND any relay: started by this command in the foreground, on the same folders each time
  --host, --port   where it listens (127.0.0.1, 2525); --sink-port is where it must deliver all mail to (2526)
  --spool FOLDER   the folder, or folders, of its spool, for --disk
  --from-domain, --to-domain   domains of the senders and recipients (example.test, inbox.test)

Exit code 1: something was lost, stuck or damaged, came twice without having been in flight, or a point was never hit.

Ours, as anyone would start it (its own configuration must send everything to the sink):
  npm run crash -- --target 'env SMTP_RELAY_POD=mail-0 SMTP_RELAY_CONFIG_DIR=/etc/relay SMTP_RELAY_SPOOL_DIR=/var/spool/relay \\
      node relay/main.ts' --port 2525 --sink-port 2526 --spool /var/spool/relay --kills 200
Postfix, with a configuration folder of its own (relayhost = [127.0.0.1]:2526, backoff times of 1s, and
import_environment naming LD_PRELOAD CRASH_DISK CRASH_DISK_FOLDERS when its disk shall lose power):
  npm run crash -- --target '/usr/lib/postfix/sbin/master -c /etc/postfix-crash -d' --port 2525 --sink-port 2526 \\
      --spool /var/spool/postfix-crash/incoming --spool /var/spool/postfix-crash/active \\
      --spool /var/spool/postfix-crash/deferred --disk journalled --kills 200`;

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "300" },
    seed: { type: "string", default: "1" },
    relay: { type: "string", multiple: true },
    point: { type: "string", multiple: true, default: [] },
    points: { type: "boolean", default: false },
    disk: { type: "string", default: "mixed" },
    healthy: { type: "boolean", default: false },
    lanes: { type: "string", default: String(availableParallelism()) },
    round: { type: "string", default: "50" },
    settle: { type: "string", default: "250" },
    json: { type: "boolean", default: false },
    target: { type: "string" },
    host: { type: "string", default: "127.0.0.1" },
    port: { type: "string", default: "2525" },
    "sink-port": { type: "string", default: "2526" },
    spool: { type: "string", multiple: true, default: [] },
    "from-domain": { type: "string", default: "example.test" },
    "to-domain": { type: "string", default: "inbox.test" },
    help: { type: "boolean", short: "h", default: false },
  },
});
if (values.help) {
  console.log(usage);
  process.exit(0);
}
if (values.points) {
  for (const { point, what } of points) console.log(`${point.padEnd(32)} ${what}`);
  process.exit(0);
}

const diskModels = ["none", "strict", "journalled", "mixed"] as const;
const disk = diskModels.find((model) => model === values.disk) ?? refuse(`--disk ${values.disk}`);
const kills = whole("kills", values.kills, 1_000_000);
const seed = whole("seed", values.seed, 2 ** 32);
const lanes = values.target === undefined ? whole("lanes", values.lanes, 64) : 1;
const perRound = whole("round", values.round, 1_000_000);
for (const name of values.point) {
  if (!points.some(({ point }) => point === name)) refuse(`--point ${name} (--points lists them)`);
}

interface Contest {
  readonly name: string;
  readonly kind: TargetKind;
  readonly hasPoints: boolean;
  /** The power loss it is built to survive. */
  readonly model: DiskModel;
}

const contests: Contest[] =
  values.target === undefined
    ? (values.relay ?? ["ours"]).map((name): Contest => {
        if (name === "ours") return { name, kind: ours, hasPoints: true, model: "strict" };
        if (name !== "postfix") return refuse(`--relay ${name}`);
        needPostfix();
        return { name, kind: postfix, hasPoints: false, model: "journalled" };
      })
    : [
        {
          name: values.target,
          kind: byCommand({
            command: values.target,
            host: values.host,
            port: whole("port", values.port, 65_535),
            spoolFolders: values.spool,
          }),
          hasPoints: false,
          model: "strict",
        },
      ];

interface Result extends Totals {
  readonly target: string;
  readonly seed: number;
  /** Submissions answered with 4xx, mostly by sick disks. */
  refused: number;
  powerLosses: number;
  /** Writes and names that were not durable at a power loss. */
  volatileWrites: number;
  volatileNames: number;
  /** Lives by what ailed their disk. */
  readonly disks: Record<string, number>;
  /** How often a life ended at each point. */
  points: Record<string, number>;
  pointsNeverHit: string[];
  readonly troubles: string[];
  seconds: number;
}

const say = (line: string) => process.stderr.write(`${line}\n`);
const folder = await mkdtemp(join(tmpdir(), "crash-"));
const results: Result[] = [];
const ending = { isAsked: false };
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.on(signal, () => {
    if (ending.isAsked) process.exit(1);
    ending.isAsked = true;
    say("ending: the rounds under way close their books; again to end at once");
  });
}
try {
  for (const contest of contests) results.push(await run(contest));
} finally {
  await rm(folder, { recursive: true, force: true });
}
if (values.json) {
  console.log(JSON.stringify(results.length === 1 ? results[0] : results, null, 2));
} else {
  print(results);
}
process.exit(results.every(isGood) ? 0 : 1);

async function run(contest: Contest): Promise<Result> {
  const random = seededRandom(seed);
  const deck = new Deck(random, contest.hasPoints, values.point);
  const began = performance.now();
  const result: Result = {
    target: contest.name,
    seed,
    ...noTotals(),
    refused: 0,
    powerLosses: 0,
    volatileWrites: 0,
    volatileNames: 0,
    disks: {},
    points: {},
    pointsNeverHit: [],
    troubles: [],
    seconds: 0,
  };
  let begun = 0;
  let done = 0;
  let round = 0;
  const progress = setInterval(() => {
    const minutes = (performance.now() - began) / 60_000;
    say(
      `${contest.name}: ${done} of ${kills} kills, ${(done / minutes).toFixed(0)} a minute; closed books: ` +
        `${result.accepted} accepted, ${result.lost} lost, ${result.duplicates} twice, ` +
        `${result.duplicatesBeyondInFlight} of them beyond what was in flight; points never hit yet: ${deck.missed().length}`,
    );
  }, 10_000);
  const lane = async () => {
    while (begun < kills && !ending.isAsked) {
      const share = Math.min(perRound, kills - begun);
      begun += share;
      const number = ++round;
      const model = disk === "mixed" ? (number % 2 === 0 ? contest.model : "none") : disk;
      const roundSeed = (seed * 100_003 + number) % 2 ** 32;
      const home = join(folder, `round-${number}`);
      const tell = (text: string) => {
        const trouble = `round ${number} (seed ${roundSeed}, disk ${model}): ${text}`;
        result.troubles.push(trouble);
        say(`✘ ${contest.name}: ${trouble}`);
      };
      await mkdir(home);
      const options: RoundOptions = {
        kind: contest.kind,
        kills: share,
        seed: roundSeed,
        deck,
        folder: home,
        shared: folder,
        senderDomain: values["from-domain"],
        recipientDomain: values["to-domain"],
        settleMs: whole("settle", values.settle, 60_000),
        sickness: !values.healthy,
        ...(model === "none" ? {} : { disk: model }),
        ...(values.target === undefined ? {} : { sinkPort: whole("sink-port", values["sink-port"], 65_535) }),
        onKill: () => done++,
      };
      try {
        const outcome = await runRound(options);
        addTotals(result, outcome.totals);
        result.refused += outcome.refused;
        for (const [name, count] of outcome.diseases) result.disks[name] = (result.disks[name] ?? 0) + count;
        for (const loss of outcome.powerLosses) {
          result.powerLosses++;
          result.volatileWrites += loss.volatileWrites;
          result.volatileNames += loss.volatileNames;
        }
        for (const text of outcome.troubles) tell(text);
      } catch (error) {
        // A relay that does not come back has lost all it held.
        result.lost++;
        tell(String(error));
      }
      await rm(home, { recursive: true, force: true });
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  clearInterval(progress);
  result.points = Object.fromEntries(deck.hits);
  result.pointsNeverHit = deck.missed();
  result.seconds = Math.round((performance.now() - began) / 1000);
  return result;
}

function isGood(result: Result): boolean {
  return (
    result.lost === 0 &&
    result.stuck === 0 &&
    result.damaged === 0 &&
    result.duplicatesBeyondInFlight === 0 &&
    result.pointsNeverHit.length === 0
  );
}

function print(results: readonly Result[]): void {
  const rows: [string, (result: Result) => string | number][] = [
    ["kills", ({ kills }) => kills],
    ["of them with power loss", ({ powerLosses }) => powerLosses],
    ["writes and names that were not durable then", (r) => `${r.volatileWrites}, ${r.volatileNames}`],
    ["recipients accepted", ({ accepted }) => accepted],
    ["submissions answered 4xx", ({ refused }) => refused],
    ["delivered, bounced", ({ delivered, bounced }) => `${delivered}, ${bounced}`],
    ["lost", ({ lost }) => lost],
    ["still queued when nothing moved any more", ({ stuck }) => stuck],
    ["damaged", ({ damaged }) => damaged],
    ["in flight at the kills", ({ inFlightAtKills }) => inFlightAtKills],
    ["came twice", ({ duplicates }) => duplicates],
    ["of them without having been in flight", ({ duplicatesBeyondInFlight }) => duplicatesBeyondInFlight],
    ["lives ended at a named point", (r) => Object.values(r.points).reduce((sum, count) => sum + count, 0)],
    [
      "points never hit",
      ({ points, pointsNeverHit }) => `${pointsNeverHit.length} of ${Object.keys(points).length}`,
    ],
    ["seconds", ({ seconds }) => seconds],
  ];
  const table = renderTable({
    columns: [
      { header: `SEED ${seed}` },
      ...results.map(({ target }) => ({ header: target.slice(0, 30), align: "right" as const })),
    ],
    rows: rows.map(([name, cell]) => [name, ...results.map((result) => String(cell(result)))]),
    width: null,
  });
  console.log(table.join("\n"));
  for (const result of results) {
    if (Object.keys(result.disks).length > 0) {
      console.log(
        `\n${result.target}, lives by the health of their disk: ${Object.entries(result.disks)
          .map(([name, count]) => `${name} ${count}`)
          .join(", ")}`,
      );
    }
    const hit = Object.entries(result.points);
    if (hit.length > 0) console.log(`\n${result.target}, lives ended at each point:\n${inColumns(hit)}`);
    for (const trouble of result.troubles.slice(0, 40)) console.log(`\n✘ ${result.target}: ${trouble}`);
  }
}

function inColumns(hits: readonly (readonly [string, number])[]): string {
  const cells = hits.map(([point, count]) => `${point.padEnd(30)}${String(count).padStart(5)}`);
  const height = Math.ceil(cells.length / 3);
  return Array.from({ length: height }, (_, row) =>
    [0, 1, 2]
      .map((column) => cells[row + column * height] ?? "")
      .join("    ")
      .trimEnd(),
  ).join("\n");
}

function whole(name: string, text: string, most: number): number {
  const number = Number(text);
  if (!Number.isInteger(number) || number < 0 || number > most) refuse(`--${name} ${text}`);
  return number;
}

function needPostfix(): void {
  const isMissing = missingPeers().some((peer) => peer.package === "postfix");
  if (!isMissing && process.getuid?.() === 0) return;
  console.error(
    isMissing
      ? "Cannot kill Postfix: it is missing. Install it: apt-get install --no-install-recommends postfix (npm test does so too)."
      : "Cannot kill Postfix: it starts as root only. Run the suite as root.",
  );
  process.exit(1);
}

function refuse(what: string): never {
  console.error(`Cannot run with ${what}.\n\n${usage}`);
  process.exit(2);
}
