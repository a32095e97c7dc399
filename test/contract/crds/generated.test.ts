/** Generated files are fresh, and `npm run generate` knows its own from other people's. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";

import { customResourceDefinition } from "../../../crds/customResourceDefinition.ts";
import { generatedFiles } from "../../../crds/generatedFiles.ts";
import { GENERATED_NOTICE } from "../../../crds/generatedNotice.ts";
import { relayNames } from "../../../operator/plan/names.ts";
import { containerPort, STATUS_PORT } from "../../../relay/contract/endpoints.ts";
import { judgeManifest } from "../../../crds/judge.ts";
import { changed, full } from "./manifests.ts";

const repository = join(import.meta.dirname, "../../..");
const run = promisify(execFile);
let root = "";
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "generated-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

interface Ended {
  readonly code: number;
  readonly out: string;
}

async function generate(...options: string[]): Promise<Ended> {
  try {
    const args = [join(repository, "crds/generate.ts"), ...options];
    const { stdout, stderr } = await run(process.execPath, args, { timeout: 30_000 });
    return { code: 0, out: stdout + stderr };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout + stderr };
  }
}

describe("npm run generate", () => {
  test("has been run: what is committed is what the source says", async () => {
    expect(await generate("--check")).toEqual({ code: 0, out: "" });
  });

  test("names the stale files with --check and writes nothing", async () => {
    const { code, out } = await generate("--check", "--root", root);

    expect(code).toBe(1);
    for (const { path } of generatedFiles()) expect(out).toContain(`stale: ${path}`);
    await expect(readFile(join(root, "docs/reference/ippool.md"))).rejects.toThrow("ENOENT");
  });

  test("writes what is missing, removes what it made before, and leaves the rest", async () => {
    await mkdir(join(root, "docs/reference"), { recursive: true });
    await writeFile(join(root, "docs/reference/metrics.md"), "<!-- Made by someone else. -->\n");
    await writeFile(join(root, "docs/reference/oldkind.md"), `<!-- ${GENERATED_NOTICE} -->\n`);

    const { code, out } = await generate("--root", root);

    expect(code).toBe(0);
    expect(out).toContain("removed docs/reference/oldkind.md");
    expect(await readFile(join(root, "docs/reference/metrics.md"), "utf8")).toContain("someone else");
    expect(await generate("--check", "--root", root)).toEqual({ code: 0, out: "" });
  });

  test("writes YAML that reads back as the CRD", () => {
    const [text] = generatedFiles().filter(({ path }) => path.includes("smtprelays"));

    expect(parse(text?.text ?? "")).toEqual(
      JSON.parse(JSON.stringify(customResourceDefinition("SmtpRelay"))),
    );
  });
});

/** crds/ cannot import the others; what it repeats of them is checked here. */
describe("the API agrees with the rest of the house", () => {
  function refusals(path: string, value: unknown): string[] {
    const judgement = judgeManifest(changed(full.SmtpRelay, path, value));
    return judgement.ok ? [] : judgement.problems.map((problem) => problem.path);
  }

  test("no listener can take the status port", () => {
    expect(refusals("spec.listeners[1].port", STATUS_PORT)).toEqual(["spec.listeners[1].port"]);
    expect(refusals("spec.listeners[1].port", STATUS_PORT + 1)).toEqual([]);
  });

  test("two listeners of one port in the pod are refused, whatever number the client sees", () => {
    for (const low of [24, 587, 1023]) {
      const listeners = [
        { name: "low", port: low, tls: "StartTls" },
        { name: "high", port: containerPort(low), tls: "StartTls" },
      ];
      expect(refusals("spec.listeners", listeners)).toEqual(["spec.listeners"]);
    }
  });

  test("no credential can be named so that its Secret is one of the operator's", () => {
    const names = relayNames("mail");
    for (const secret of [names.runtimeSecret, names.selfSignedSecret]) {
      const credential = secret.slice("mail-".length);
      expect(names.credentialSecret(credential)).toBe(secret);
      expect(refusals("spec.auth.credentials[1].name", credential)).toEqual([
        "spec.auth.credentials[1].name",
      ]);
    }
  });
});
