/**
 * The arrows hold, and the tool that says so is awake: it saw the modules we have, and it finds
 * violations planted in a copy of the house (a cruise that resolves nothing reports success too).
 */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { glob } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

import { afterAll, beforeAll, expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const folders = ["crds", "relay", "operator", "image"];

interface Cruise {
  readonly modules: readonly { readonly source: string }[];
  readonly summary: {
    readonly violations: readonly {
      readonly from: string;
      readonly to: string;
      readonly rule: { readonly name: string };
    }[];
  };
}

function cruise(directory: string): Promise<Cruise> {
  return new Promise((resolve, reject) => {
    execFile(
      process.execPath,
      [
        join(root, "node_modules/.bin/depcruise"),
        "--config",
        join(root, ".dependency-cruiser.mjs"),
        "--output-type",
        "json",
        ...folders,
      ],
      { cwd: directory, maxBuffer: 64 * 1024 * 1024 },
      (error, stdout, stderr) => {
        // Violations make the exit code non-zero; no JSON at all is a real failure.
        try {
          resolve(JSON.parse(stdout) as Cruise);
        } catch {
          reject(new Error(`Cannot read the arrows: ${stderr || (error?.message ?? "no output")}`));
        }
      },
    );
  });
}

const told = (found: Cruise) =>
  found.summary.violations.map((violation) => `${violation.rule.name}: ${violation.from} → ${violation.to}`);

test("every import of ours follows the arrows, and every module was seen", async () => {
  const found = await cruise(root);

  const files: string[] = [];
  for await (const file of glob("{crds,relay,operator,image}/**/*.ts", { cwd: root })) files.push(file);
  const seen = new Set(found.modules.map((module) => module.source));
  expect(files.filter((file) => !seen.has(file))).toEqual([]);
  expect(files.length).toBeGreaterThan(20);
  expect(told(found)).toEqual([]);
});

/** One planted import a rule: file, what it imports, the rule that must bite. */
const planted = [
  ["relay/policy/planted.ts", "node:fs", "relay-policy-is-pure"],
  ["relay/policy/planted.ts", "../kit/clock.ts", "relay-policy-is-pure"],
  ["relay/queue/planted.ts", "../../operator/world.ts", "relay-knows-no-kubernetes"],
  ["relay/smtp/planted.ts", "../../crds/group.ts", "relay-knows-no-kubernetes"],
  ["operator/plan/planted.ts", "node:fs", "operator-core-is-pure"],
  ["operator/warmup/planted.ts", "../../relay/kit/clock.ts", "operator-core-is-pure"],
  ["operator/reconcile/planted.ts", "../../relay/message.ts", "operator-knows-only-the-contract"],
  ["operator/reconcile/planted.ts", "@kubernetes/client-node", "only-adapters-touch-kubernetes"],
  ["relay/queue/planted.ts", "nodemailer", "only-smtp-touches-mail-libraries"],
  ["relay/contract/planted.ts", "../message.ts", "contract-holds-no-behaviour"],
  ["crds/planted.ts", "../relay/contract/config.ts", "crds-stands-alone"],
  ["relay/kit/planted.ts", "../../test/support/fakeClock.ts", "production-never-imports-tests"],
  ["image/oci/planted.ts", "../../relay/kit/clock.ts", "image-packs-it-all-and-imports-none"],
  ["operator/planted.ts", "../image/files.ts", "nobody-imports-the-image"],
  ["relay/kit/planted.ts", "./no-such-file.ts", "no-unresolvable"],
] as const;

let copy: string;
beforeAll(async () => {
  copy = await mkdtemp(join(tmpdir(), "arrows-"));
  for (const folder of [...folders, "test/support"]) {
    await cp(join(root, folder), join(copy, folder), { recursive: true });
  }
  await cp(join(root, "package.json"), join(copy, "package.json"));
  await symlink(join(root, "node_modules"), join(copy, "node_modules"));
});
afterAll(() => rm(copy, { recursive: true, force: true }));

test("each arrow that must not exist is found when someone draws it", async () => {
  const imports = new Map<string, string[]>();
  for (const [file, target] of planted) imports.set(file, [...(imports.get(file) ?? []), target]);
  for (const [file, targets] of imports) {
    await mkdir(dirname(join(copy, file)), { recursive: true });
    await writeFile(
      join(copy, file),
      targets.map((target, index) => `import * as planted${index} from "${target}";\n`).join("") +
        `export const all = [${targets.map((_, index) => `planted${index}`).join(", ")}];\n`,
    );
  }
  await writeFile(
    join(copy, "relay/kit/one.ts"),
    'import { two } from "./two.ts";\nexport const one = (): unknown => two;\n',
  );
  await writeFile(
    join(copy, "relay/kit/two.ts"),
    'import { one } from "./one.ts";\nexport const two = (): unknown => one;\n',
  );

  const found = await cruise(copy);

  const bitten = new Set(
    found.summary.violations.map((violation) => `${violation.rule.name} ${violation.from}`),
  );
  const missed = planted.filter(([file, , rule]) => !bitten.has(`${rule} ${file}`));
  expect(missed).toEqual([]);
  expect(bitten).toContain("no-cycles relay/kit/one.ts");
});
