/**
 * npm run cluster: the operator and the quickstart's example in a cluster, for a person to try things on.
 *
 *   npm run cluster                          the throw-away cluster of the tests, brought up for it (throwAway.ts)
 *   KUBECONFIG=… npm run cluster -- --image  a cluster that is there (existing.ts)
 *   npm run cluster -- down                  takes away what the same call without "down" made
 */
import { readClusterCommand } from "../support/cluster/person/commandLine.ts";
import { existingDown, existingUp, terminalAsk } from "../support/cluster/person/existing.ts";
import { down, supervise, throwAwayFiles, up } from "../support/cluster/person/throwAway.ts";

const command = readClusterCommand(process.argv.slice(2), {
  kubeconfig: process.env["KUBECONFIG"],
  ours: throwAwayFiles.kubeconfig,
});
process.exitCode = await run().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  return 1;
});

async function run(): Promise<number> {
  switch (command.kind) {
    case "help":
      process.stdout.write(command.text);
      return 0;
    case "refused":
      console.error(command.text);
      return 2;
    case "throwAway":
      if (command.action === "supervise") return await supervise();
      return command.action === "up" ? await up(import.meta.filename) : await down();
    case "existing": {
      const talk = { print: (line: string) => console.log(line), ask: terminalAsk() };
      return command.action === "up"
        ? await existingUp(command.order, talk)
        : await existingDown(command.order, talk);
    }
  }
}
