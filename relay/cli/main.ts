/** The `smtp-relay` command: wires run.ts to the process. */
import { once } from "node:events";

import { systemClock } from "../kit/clock.ts";
import { run } from "./run.ts";
import { runSpool, type SpoolTerminal } from "./spool/run.ts";

// A reader that went away (smtp-relay queue | head) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

const argv = process.argv.slice(2);
const out = (lines: readonly string[]) => process.stdout.write(`${lines.join("\n")}\n`);
const err = (lines: readonly string[]) => {
  if (lines.length > 0) process.stderr.write(`${lines.join("\n")}\n`);
};

process.exitCode =
  argv[0] === "spool"
    ? await runSpool(argv.slice(1), spoolTerminal())
    : await run(argv, {
        cwd: process.cwd(),
        env: process.env,
        page: () => ({
          now: systemClock.now(),
          timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
          width: process.stdout.isTTY ? Math.max(60, process.stdout.columns) : null,
          // npm names itself to what npx starts; in a pod and after an installation the command is on the path.
          command: process.env["npm_command"] === "exec" ? "npx smtp-relay" : "smtp-relay",
        }),
        out,
        err,
      });

function spoolTerminal(): SpoolTerminal {
  let shown = "";
  return {
    out,
    err,
    write: (bytes) => process.stdout.write(bytes),
    drained: async () => {
      if (process.stdout.writableNeedDrain) await once(process.stdout, "drain");
    },
    input: () => process.stdin,
    progress(text) {
      // For people only: a log would fill with it.
      if (!process.stderr.isTTY || text === shown) return;
      process.stderr.write(`\r${text.padEnd(shown.length)}${text === "" ? "\r" : ""}`);
      shown = text;
    },
  };
}
