/** The `smtp-relay` command: wires run.ts to the process. */
import { systemClock } from "../kit/clock.ts";
import { run } from "./run.ts";

// A reader that went away (smtp-relay queue | head) is no failure.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

process.exitCode = await run(process.argv.slice(2), {
  cwd: process.cwd(),
  env: process.env,
  page: () => ({
    now: systemClock.now(),
    timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone,
    width: process.stdout.isTTY ? Math.max(60, process.stdout.columns) : null,
    // npm names itself to what npx starts; in a pod and after an installation the command is on the path.
    command: process.env["npm_command"] === "exec" ? "npx smtp-relay" : "smtp-relay",
  }),
  out: (lines) => process.stdout.write(`${lines.join("\n")}\n`),
  err: (lines) => process.stderr.write(`${lines.join("\n")}\n`),
});
