#!/usr/bin/env node
// The `smtp-relay` command: queue, show, explain … on the project's Node.
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
process.argv.splice(2, 0, "relay/cli/main.ts");
await import(join(here, "run.mjs"));
