/**
 * Makes the relay under test: one file, with stand-ins of this folder in the place of four modules. What ships
 * knows nothing of it. One file, because finding and stripping two hundred takes more of a life than the rest.
 */
import { join } from "node:path";

import { rolldown } from "rolldown";

const here = import.meta.dirname;

/** What a module imports is replaced by a file of this folder. */
const standIns: readonly { readonly importer: string; readonly specifier: string; readonly by: string }[] = [
  { importer: "/relay/main.ts", specifier: "./queue/fileSpool.ts", by: "fileSpool.ts" },
  { importer: "/relay/queue/log/upkeep.ts", specifier: "./compaction.ts", by: "compaction.ts" },
  { importer: "/relay/queue/log/folder.ts", specifier: "./lock.ts", by: "lock.ts" },
  { importer: "/relay/queue/log/lock.ts", specifier: "node:fs/promises", by: "lockFiles.ts" },
];

export async function bundleRelay(file: string): Promise<void> {
  const used = new Set<string>();
  const bundle = await rolldown({
    input: join(here, "relay.ts"),
    platform: "node",
    logLevel: "silent",
    plugins: [
      {
        name: "stand-ins",
        resolveId(specifier, importer) {
          const standIn = standIns.find(
            (each) => each.specifier === specifier && importer?.endsWith(each.importer) === true,
          );
          if (standIn === undefined) return null;
          used.add(standIn.by);
          return join(here, standIn.by);
        },
      },
    ],
  });
  await bundle.write({ file, format: "esm", codeSplitting: false });
  await bundle.close();
  const unused = standIns.filter(({ by }) => !used.has(by));
  if (unused.length > 0) {
    throw new Error(
      `Cannot put fault points into the relay: ${unused.map(({ importer, specifier }) => `${importer} does not import ${specifier}`).join(", ")}.`,
    );
  }
}
