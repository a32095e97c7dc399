/**
 * `npm run quickstart`: the whole product on one machine, shown step by step, then left running for the
 * person to play with. With --once it ends by itself; exit 0 only if every step came true.
 */
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

import { systemClock } from "../../../relay/kit/clock.ts";
import { DEFAULT_STATE } from "../commandLine.ts";
import type { LocalMode } from "../localMode.ts";
import { followLogs } from "../logs.ts";
import {
  Interrupts,
  noticeLines,
  openLocal,
  sayFailedStart,
  shown,
  statusView,
  stopLocal,
} from "../session.ts";
import { standardTerminal, type Terminal } from "../terminal.ts";
import { Checklist, StepFailed } from "./checklist.ts";
import { hints } from "./hints.ts";
import { Mailbox } from "./mailbox.ts";
import { INBOX_DOMAIN, INBOX_HOST, startReceiver } from "./receiver.ts";
import { MESSAGES, runSteps, verifierOf } from "./run.ts";
import { castOf } from "./steps.ts";

const root = dirname(dirname(dirname(dirname(fileURLToPath(import.meta.url)))));

const usage = `usage: npm run quickstart [-- --once] [--state DIR] [--folder DIR] [--single-address] [--verbose]

Starts the relays of examples/quickstart on this machine, sends ${MESSAGES} messages through them to a receiving
server on this machine, and verifies what arrived. Then it keeps running.

      --once            end after the last step; exit 0 only if all of it was true
      --state DIR       where queue, keys and ramps are kept (default ${DEFAULT_STATE})
      --folder DIR      manifests (default examples/quickstart)
      --single-address  tell pods apart by ports, as where only 127.0.0.1 is up
      --verbose         show the logs of the pods
`;

interface Options {
  readonly once: boolean;
  readonly state: string;
  readonly folder: string;
  readonly singleAddress: boolean;
  readonly verbose: boolean;
}

async function quickstart(options: Options): Promise<number> {
  const clock = systemClock;
  const terminal = standardTerminal(clock);
  const interrupts = new Interrupts();
  // Objects bear whole seconds.
  const startedAt = Math.floor(clock.now() / 1000) * 1000;
  terminal.say("", `  smtp-relay-operator · local mode · ${options.folder}`, "");
  const mailbox = new Mailbox();
  const receiver = await startReceiver({ now: clock.now(), onMail: (mail) => mailbox.take(mail) });
  let local: LocalMode;
  try {
    const dns = { kind: "loopback" as const, records: inboxRecords };
    local = await openLocal({ ...options, deliveryPort: receiver.port }, dns, clock, terminal);
  } catch (error) {
    sayFailedStart(terminal, error, options.state);
    await receiver.close();
    return 1;
  }
  const logs = join(local.state.root, "logs");
  const untail = options.verbose ? followLogs(logs, clock, (line) => terminal.say(line)) : () => {};
  const checklist = new Checklist({ terminal, clock });
  const steps = runSteps(local, { checklist, mailbox, startedAt, tableMatters: options.once });
  const end = await Promise.race([
    steps.then(() => "true" as const, failed),
    interrupts.first.then(() => "interrupted" as const),
  ]);
  if (end === "false") {
    terminal.say(
      "",
      `    Logs are in ${shown(logs)}, what each object says of itself in ${shown(local.state.status)}.`,
    );
  }
  if (end !== "interrupted") {
    showState(local, terminal, options, end === "true");
    if (!options.once) {
      const verify = verifierOf(local);
      mailbox.listen(({ to, content }) => {
        void verify(content).then(
          (verdicts) => terminal.say(arrivalLine(to, verdicts)),
          (error: unknown) =>
            terminal.say(
              `  ✉ delivered to ${to.join(", ")}; its signatures cannot be checked: ${String(error)}`,
            ),
        );
      });
      await interrupts.first;
    }
  }
  untail();
  const code = await stopLocal(local, terminal, interrupts);
  await receiver.close();
  return options.once && end !== "true" ? 1 : code;
}

/** The table, and what to try. */
function showState(local: LocalMode, terminal: Terminal, options: Options, allTrue: boolean): void {
  const notices = noticeLines(local);
  terminal.say(...(notices.length > 0 ? ["", ...notices] : []), "");
  const cast = castOf(local.objects());
  const below =
    !allTrue || options.once || typeof cast === "string" ? [] : hints(local, cast, options.folder);
  // In a terminal the table moves, so it stands last and the lines to paste are left in peace.
  if (terminal.isTty && below.length > 0) terminal.say(...below, "");
  terminal.show(() => statusView(local, systemClock));
  if (!terminal.isTty && below.length > 0) terminal.say("", ...below);
}

function arrivalLine(
  to: readonly string[],
  verdicts: readonly { readonly selector: string; readonly valid: boolean; readonly reason: string }[],
): string {
  const signatures = verdicts.map(({ selector, valid, reason }) => `${selector} ${valid ? "valid" : reason}`);
  return `  ✉ delivered to ${to.join(", ")} · signatures: ${signatures.join(", ") || "none"}`;
}

function failed(error: unknown): "false" {
  if (error instanceof StepFailed) return "false";
  throw error;
}

const inboxRecords = [
  { name: INBOX_DOMAIN, type: "MX" as const, value: INBOX_HOST },
  { name: INBOX_HOST, type: "A" as const, value: "127.0.0.1" },
];

/** A string: what to say instead of running. */
function readOptions(words: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...words],
      options: {
        once: { type: "boolean" },
        state: { type: "string" },
        folder: { type: "string" },
        "single-address": { type: "boolean" },
        verbose: { type: "boolean" },
        help: { type: "boolean", short: "h" },
      },
    });
    if (values.help === true) return usage;
    return {
      once: values.once ?? false,
      state: values.state ?? DEFAULT_STATE,
      folder: values.folder ?? relative(process.cwd(), join(root, "examples", "quickstart")),
      singleAddress: values["single-address"] ?? false,
      verbose: values.verbose ?? false,
    };
  } catch (error) {
    return `quickstart: ${error instanceof Error ? error.message.split(". To specify", 1)[0] : String(error)}\nSee npm run quickstart -- --help.\n`;
  }
}

const options = readOptions(process.argv.slice(2));
if (typeof options !== "string") {
  // A step that was interrupted may still be waiting for its time.
  process.exit(await quickstart(options));
} else if (options === usage) process.stdout.write(options);
else {
  process.stderr.write(options);
  process.exitCode = 2;
}
