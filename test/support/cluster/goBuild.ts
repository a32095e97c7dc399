/**
 * Builds a program from its published Go module, at the lowest priority, with a line of progress now and then.
 *
 * The go.mod that Kubernetes publishes replaces its staging modules by folders of its own repository, which
 * nobody else has; so a module of ours requires it, and replaces each of them by its published version.
 */
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { constants, setPriority } from "node:os";
import { basename, dirname, join } from "node:path";

import type { GoRecipe } from "./programs.ts";

/** Kubernetes needs it; the others take older ones. */
const GO_VERSION = "1.26.0";
const PROGRESS_EVERY_MS = 20_000;
const LONGEST_BUILD_MS = 45 * 60_000;

export type Print = (line: string) => void;

/** Why nothing can be built here, in a clause; null when Go is there. */
export function goIsMissing(): string | null {
  const go = spawnSync("go", ["version"], { encoding: "utf8" });
  if (go.status !== 0) return `there is no Go on the PATH (${GO_VERSION} or newer builds them)`;
  return null;
}

/**
 * Builds to `target`, which appears whole or not at all. `workFolder` keeps the module of ours. Throws with the
 * last lines of Go's complaint.
 */
export async function goBuild(
  recipe: GoRecipe,
  target: string,
  workFolder: string,
  print: Print,
): Promise<void> {
  const name = basename(target);
  const scratch = join(dirname(target), `.build-${name}-${process.pid}`);
  mkdirSync(scratch, { recursive: true });
  const started = performance.now();
  const elapsed = () => `${Math.round((performance.now() - started) / 1000)} s`;
  print(`building ${name} ${recipe.version} from its Go module …`);
  const progress = setInterval(() => print(`building ${name} … ${elapsed()}`), PROGRESS_EVERY_MS);
  try {
    if (recipe.kind === "install") {
      const args = ["install", ...flags(recipe), `${recipe.package}@${recipe.version}`];
      await go(args, scratch, { GOBIN: scratch, GOFLAGS: "-buildvcs=false" });
    } else {
      await writeModule(recipe, workFolder);
      const args = ["build", ...flags(recipe), "-o", join(scratch, name), recipe.package];
      await go(args, workFolder, { GOFLAGS: "-mod=mod -buildvcs=false" });
    }
    renameSync(join(scratch, name), target);
    print(`built ${name} in ${elapsed()}`);
  } finally {
    clearInterval(progress);
    rmSync(scratch, { recursive: true, force: true });
  }
}

/** The same for all programs of a module, else Go's build cache does not serve the next one. */
function flags(recipe: GoRecipe): string[] {
  const [major = "", minor = ""] = recipe.version.slice(1).split(".");
  const variables = {
    "k8s.io/component-base/version.gitVersion": recipe.version,
    "k8s.io/component-base/version.gitMajor": major,
    "k8s.io/component-base/version.gitMinor": minor,
    "k8s.io/client-go/pkg/version.gitVersion": recipe.version,
    "helm.sh/helm/v4/internal/version.version": recipe.version,
  };
  const set = Object.entries(variables).map(([variable, value]) => `-X ${variable}=${value}`);
  return ["-trimpath", "-ldflags", ["-s", "-w", ...set].join(" ")];
}

async function writeModule(recipe: GoRecipe & { kind: "build" }, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const lines = [
    "module smtprelay.dev/test-cluster",
    `go ${GO_VERSION}`,
    "godebug default=go1.26",
    `require ${recipe.module} ${recipe.version}`,
  ];
  if (recipe.stagingVersion !== undefined) {
    const answer = await go(["mod", "download", "-json", `${recipe.module}@${recipe.version}`], folder, {});
    const { GoMod: goMod } = JSON.parse(answer) as { GoMod: string };
    for (const [, module] of readFileSync(goMod, "utf8").matchAll(/^\s*(\S+) => \.\/staging\//gm)) {
      lines.push(`replace ${module} => ${module} ${recipe.stagingVersion}`);
    }
  }
  writeFileSync(join(folder, "go.mod"), `${lines.join("\n\n")}\n`);
}

/** Standard output of one Go command. */
async function go(args: readonly string[], cwd: string, environment: NodeJS.ProcessEnv): Promise<string> {
  const child = spawn("go", args, {
    cwd,
    // Static programs; a workspace or flags of the user's own would build something else.
    env: { ...process.env, CGO_ENABLED: "0", GOWORK: "off", GOMAXPROCS: "2", ...environment },
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (child.pid !== undefined) setPriority(child.pid, constants.priority.PRIORITY_LOW);
  let out = "";
  let complaint = "";
  child.stdout.on("data", (chunk: Buffer) => (out += chunk.toString("utf8")));
  child.stderr.on("data", (chunk: Buffer) => (complaint = (complaint + chunk.toString("utf8")).slice(-8192)));
  const limit = setTimeout(() => child.kill("SIGKILL"), LONGEST_BUILD_MS);
  const end = await new Promise<string>((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (code, signal) => resolve(code === 0 ? "" : (signal ?? `exit ${code}`)));
  });
  clearTimeout(limit);
  if (end === "") return out;
  const said = complaint.split("\n").filter((line) => line !== "" && !line.startsWith("go: downloading"));
  throw new Error(`go ${args[0]} ended with ${end}: ${said.slice(-3).join("; ") || out.trim().slice(-300)}`);
}
