/**
 * The image holds what both programs need and nothing that should not be there: its files alone, in a root of their
 * own, run the operator, a relay and the `smtp-relay` command.
 */
import { once } from "node:events";
import {
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { beforeAll, describe, expect, onTestFinished, test } from "vitest";

import { type BuiltImage, buildImage, readProduct } from "../../image/build.ts";
import { type ImageFile, inOrder } from "../../image/files.ts";
import { writeFolders } from "../../image/folders.ts";
import { USER_ID } from "../../image/layers.ts";
import { bootVariables, STATUS_PORT, statusPaths } from "../../relay/contract/endpoints.ts";
import { freePort, untilListening } from "../support/peers/program.ts";
import { isRoot, productRoot } from "../support/productRoot.ts";

const repository = join(import.meta.dirname, "../..");
let image: BuiltImage;
let files: readonly ImageFile[];

beforeAll(async () => {
  image = await buildImage({
    architecture: process.arch === "arm64" ? "arm64" : "amd64",
    name: "smtprelay.dev/test/image:1",
    takeServed: true,
    print: (line) => console.log(line),
  });
  files = image.contents.flatMap(({ files }) => files);
}, 600_000);

/** Of a statement, whose last line it is, or of a call. */
const IMPORT = /(?:^(?:import|export|\}) (?:.*from )?|import\()"([^"]+)"\)?;?/gm;

const contentOf = (path: string) => {
  const file = files.find((one) => one.path === path);
  return file?.kind === "file" ? Buffer.from(file.content).toString("utf8") : null;
};
const pathsUnder = (prefix: string) =>
  files.map(({ path }) => path).filter((path) => path.startsWith(prefix));

/** All below a folder, without going through links, as Node's own recursion does. */
function pathsIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((one) => [
    one.name,
    ...(one.isDirectory() ? pathsIn(join(folder, one.name)).map((path) => `${one.name}/${path}`) : []),
  ]);
}

test("as the folders that the Containerfile copies it is the same: files, modes, links, layer by layer", () => {
  const root = mkdtempSync(join(tmpdir(), "layers-"));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  writeFolders(root, image.contents);
  const copied = [
    ...readFileSync(join(repository, "Containerfile"), "utf8").matchAll(
      /^COPY --from=build \/layers\/(\w+)\/ \/$/gm,
    ),
  ].map(([, layer]) => layer ?? "");

  expect(copied).toEqual(image.contents.map(({ name }) => name));
  for (const { name, files: wanted } of image.contents) {
    expect(pathsIn(join(root, name)).toSorted()).toEqual(
      inOrder(wanted)
        .map(({ path }) => path)
        .toSorted(),
    );
    const different = inOrder(wanted).filter((file) => {
      const path = join(root, name, file.path);
      const found = lstatSync(path);
      if (file.kind === "link") return !found.isSymbolicLink() || readlinkSync(path) !== file.target;
      if ((found.mode & 0o7777) !== file.mode) return true;
      return file.kind === "file" ? !readFileSync(path).equals(file.content) : !found.isDirectory();
    });
    expect(different.map(({ path }) => path)).toEqual([]);
  }
});

describe("nothing is in it that should not be", () => {
  test("no file is setuid, setgid or open to writing, but /tmp, which is sticky", () => {
    const loose = files.filter((file) => file.kind !== "link" && (file.mode & 0o7022) !== 0);

    expect(loose.map((file) => [file.path, file.kind === "link" ? 0 : file.mode])).toEqual([["tmp", 0o1777]]);
  });

  test("programs are Node, the two commands and libraries", () => {
    const programs = files.filter((file) => file.kind === "file" && (file.mode & 0o111) !== 0);

    expect(
      programs
        .map(({ path }) => path)
        .filter((path) => !/\.so(\.\d+)*$/.test(path))
        .toSorted(),
    ).toEqual([
      "app/image/commands/smtp-relay-operator.mjs",
      "app/image/commands/smtp-relay.mjs",
      "usr/local/bin/node",
    ]);
  });

  test("no package of development, no test, no type, no map", () => {
    const lock = JSON.parse(readFileSync(join(repository, "package-lock.json"), "utf8")) as {
      packages: Record<string, { dev?: boolean }>;
    };
    const dev = Object.entries(lock.packages).filter(([, { dev }]) => dev === true);
    const inImage = new Set(
      pathsUnder("app/node_modules/").map(
        (path) => /^app\/(.*node_modules\/(?:@[^/]+\/)?[^/]+)/.exec(path)?.[1],
      ),
    );

    expect(dev.length).toBeGreaterThan(50);
    expect(inImage.size).toBeGreaterThan(50);
    expect(dev.map(([path]) => path).filter((path) => inImage.has(path))).toEqual([]);
    expect(pathsUnder("app/").filter((path) => /\.test\.[jt]s$|\.d\.[mc]?ts$|\.map$/.test(path))).toEqual([]);
  });

  test("every package keeps its licence", () => {
    const without = image.contents
      .find(({ name }) => name === "packages")
      ?.files.filter(({ path }) => path.endsWith("/package.json"))
      .map(({ path }) => path.slice(0, -"package.json".length))
      .filter((folder) => /node_modules\/(@[^/]+\/)?[^/]+\/$/.test(folder))
      .filter(
        (folder) => !pathsUnder(folder).some((path) => /licen[cs]e|copying/i.test(path.slice(folder.length))),
      );

    expect(without).toEqual([]);
  });
});

describe("all is in it that must be", () => {
  test("the licence of our own code is there, and is the one that its label names", () => {
    expect(contentOf("app/LICENSE")).toMatch(/^\s+Apache License\s+Version 2\.0/);
    expect(readProduct().license).toBe("Apache-2.0");
  });

  test("every import of our own code leads to a file or a package of the image", () => {
    const have = new Set(files.map(({ path }) => path));
    const missing: string[] = [];
    const code = pathsUnder("app/").filter(
      (path) => /\.(js|mjs)$/.test(path) && !path.includes("node_modules"),
    );
    for (const path of code) {
      for (const [, wanted = ""] of (contentOf(path) ?? "").matchAll(IMPORT)) {
        if (wanted.startsWith("node:")) continue;
        const target = wanted.startsWith(".")
          ? join(path, "..", wanted)
          : `app/node_modules/${/^(@[^/]+\/)?[^/]+/.exec(wanted)?.[0]}/package.json`;
        if (!have.has(target)) missing.push(`${path}: ${wanted}`);
      }
    }

    expect(code.length).toBeGreaterThan(200);
    expect(missing).toEqual([]);
  });

  test("the list of contents names every package of every kind, by version", () => {
    const { components } = image.sbom as { components: { purl: string }[] };
    const urls = new Set(components.map(({ purl }) => purl));
    const packages = pathsUnder("app/node_modules/")
      .filter((path) => /node_modules\/(@[^/]+\/)?[^/]+\/package\.json$/.test(path))
      .map((path) => JSON.parse(contentOf(path) ?? "{}") as { name: string; version: string })
      .map(({ name, version }) => `pkg:npm/${name.replace("@", "%40")}@${version}`);
    const debian = pathsUnder("var/lib/dpkg/status.d/").map((path) => {
      const [name, version, architecture] = ["Package", "Version", "Architecture"].map(
        (field) => new RegExp(`^${field}: (.*)$`, "m").exec(contentOf(path) ?? "")?.[1] ?? "",
      );
      return `pkg:deb/debian/${encodeURIComponent(name ?? "")}@${encodeURIComponent(version ?? "")}?arch=${architecture}&distro=debian-12`;
    });

    expect(debian).toHaveLength(4);
    expect([...packages, ...debian].filter((url) => !urls.has(url))).toEqual([]);
    // Beside them stand Node and the product itself.
    expect(components).toHaveLength(new Set([...packages, ...debian]).size + 2);
  });
});

describe.skipIf(!isRoot)("its files alone run", () => {
  test("the operator, the smtp-relay command, and all either of them may load", async () => {
    using root = productRoot(image);

    expect(await root.run("node", "/app/operator/main.js", "run", "--help")).toContain("--relay-image");
    expect(await root.run("smtp-relay-operator", "--help")).toContain("usage: smtp-relay-operator");
    expect(await root.run("smtp-relay", "--help")).toContain("smtp-relay queue");
    const modules = pathsUnder("app/")
      .filter((path) => path.endsWith(".js") && !path.includes("node_modules") && !path.endsWith("/main.js"))
      .map((path) => `/${path}`);
    expect(modules.length).toBeGreaterThan(300);
    expect(pathsUnder("app/").filter((path) => /^app\/(crds|operator|relay)\/.*\.ts$/.test(path))).toEqual(
      [],
    );
    const load = `for (const path of ${JSON.stringify(modules)}) await import(path); console.log("all")`;
    expect(await root.run("node", "--input-type=module", "-e", load)).toBe("all\n");
  });

  test("a relay starts as its user, answers, tells what waits, and stops in order", async () => {
    using root = productRoot(image);
    const spool = join(root.path, "var/spool/smtp-relay");
    mkdirSync(spool, { recursive: true });
    chownSync(spool, USER_ID, USER_ID);
    const port = await freePort();
    const relay = root.start(["node", "/app/relay/main.js"], {
      [bootVariables.podName]: "mail-0",
      [bootVariables.spoolDir]: "/var/spool/smtp-relay",
      [bootVariables.configDir]: "/etc/none",
      [bootVariables.bindAddress]: "127.0.0.1",
      [bootVariables.portShift]: String(port - STATUS_PORT),
    });
    onTestFinished(async () => await relay.stop());
    await untilListening(relay, port);

    expect((await fetch(`http://127.0.0.1:${port}${statusPaths.health}`)).status).toBe(200);
    await expect
      .poll(
        async () =>
          await root.run("smtp-relay", "queue", "--socket", "/var/spool/smtp-relay/admin.sock").catch(String),
        {
          timeout: 20_000,
        },
      )
      .toMatch(/^The queue is empty/);
    relay.child.kill("SIGTERM");
    expect(await once(relay.child, "exit")).toEqual([0, null]);
  });
});
