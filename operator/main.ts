/** The `smtp-relay-operator` command. */
import { readCommandLine } from "./local/commandLine.ts";
import { runLocal } from "./local/session.ts";

const command = readCommandLine(process.argv.slice(2));
switch (command.kind) {
  case "help":
    process.stdout.write(command.text);
    break;
  case "refused":
    process.stderr.write(`smtp-relay-operator: ${command.text}\n`);
    process.exitCode = 2;
    break;
  case "local":
    process.exitCode = await runLocal(command.options);
    break;
}
