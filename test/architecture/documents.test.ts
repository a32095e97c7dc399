/** What documents point at is there: files, headings, and the npm scripts they tell a person to run. */
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";

import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const read = (path: string) => readFileSync(join(root, path), "utf8");
const pages = execFileSync("git", ["-C", root, "ls-files", "-co", "--exclude-standard", "*.md"], {
  encoding: "utf8",
})
  .trim()
  .split("\n")
  .filter((path) => existsSync(join(root, path)));

/** As GitHub names a heading. */
const anchor = (heading: string) =>
  heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N}\- _]/gu, "")
    .trim()
    .replaceAll(" ", "-");

function deadLinks(page: string, text: string): string[] {
  // Not in code, where brackets are patterns.
  const prose = text.replaceAll(/^```.*?^```/gms, "").replaceAll(/`[^`\n]*`/g, "");
  return [...prose.matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target = ""]) => target)
    .filter((target) => !/^https?:/.test(target))
    .filter((target) => {
      const [path = "", heading] = target.split("#");
      const file = path === "" ? page : normalize(join(dirname(page), path));
      if (!existsSync(join(root, file))) return true;
      const headings = heading === undefined ? [] : [...read(file).matchAll(/^#+ (.+)$/gm)];
      return heading !== undefined && !headings.some(([, said = ""]) => anchor(said) === heading);
    });
}

test("every link between our documents leads somewhere", () => {
  expect(pages.length).toBeGreaterThan(40);
  expect(pages.flatMap((page) => deadLinks(page, read(page)).map((link) => `${page}: ${link}`))).toEqual([]);
});

test("a link to a file or a heading that is not there is found", () => {
  const text = "[a](install.md#uninstall) [b](install.md#nowhere) [c](gone.md) `[x](y)`";

  expect(deadLinks("docs/flow.md", text)).toEqual(["install.md#nowhere", "gone.md"]);
});

test("every npm script that a document names exists", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  const named = pages.flatMap((page) =>
    [...read(page).matchAll(/\bnpm run ([\w:]+)/g)].map(([, script = ""]) => ({ page, script })),
  );

  expect(named.length).toBeGreaterThan(30);
  expect(named.filter(({ script }) => scripts[script] === undefined)).toEqual([]);
});
