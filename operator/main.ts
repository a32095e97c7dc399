/** The `smtp-relay-operator` command. */
import { readRunCommand } from "./cluster/commandLine.ts";
import { readCommandLine } from "./local/commandLine.ts";

const words = process.argv.slice(2);
const command = words[0] === "run" ? readRunCommand(words.slice(1)) : readCommandLine(words);
switch (command.kind) {
  case "help":
    process.stdout.write(command.text);
    break;
  case "refused":
    process.stderr.write(`smtp-relay-operator: ${command.text}\n`);
    process.exitCode = 2;
    break;
  // Each is loaded only when it is run: the operator in a pod has no use for local mode, nor the other way.
  case "local": {
    const { runLocal } = await import("./local/session.ts");
    process.exitCode = await runLocal(command.options);
    break;
  }
  case "run": {
    const { runInCluster } = await import("./cluster/run.ts");
    process.exitCode = await runInCluster(command.options);
    break;
  }
}
