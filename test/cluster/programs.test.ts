/** How the cluster's programs are found: assets of the user's, then the cache, then a download that proves itself. */
import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";

import { expect, test } from "vitest";

import { findProgram, providePrograms } from "../support/cluster/binaries.ts";
import { download } from "../support/cluster/download.ts";
import { takeLock, withLock } from "../support/cluster/machineLock.ts";
import { programSources } from "../support/cluster/programs.ts";
import { runProgram } from "../support/peers/program.ts";
import { tempFolder } from "../support/tempFolder.ts";

test("a folder of the user's own comes before the cache", () => {
  using folder = tempFolder();
  const assets = join(folder.path, "assets");
  const environment = { XDG_CACHE_HOME: folder.path, KUBEBUILDER_ASSETS: assets };
  const cached = join(folder.path, "smtp-relay-operator", programSources.etcd.folder, "etcd");
  place(cached);

  expect(findProgram("etcd", environment)).toBe(cached);
  place(join(assets, "etcd"));
  expect(findProgram("etcd", environment)).toBe(join(assets, "etcd"));
});

test("a file that cannot be executed is no program", () => {
  using folder = tempFolder();
  const environment = { XDG_CACHE_HOME: folder.path };
  const cached = join(folder.path, "smtp-relay-operator", programSources.etcd.folder, "etcd");
  place(cached);
  chmodSync(cached, 0o644);

  expect(findProgram("etcd", environment)).toBeNull();
});

test("without download and without Go, one line says what is missing and what helps", async () => {
  using folder = tempFolder();
  const path = process.env["PATH"];
  process.env["PATH"] = folder.path;
  try {
    const provision = await providePrograms(["etcd", "kubectl"], {
      environment: { XDG_CACHE_HOME: folder.path },
      download: false,
    });

    expect(provision).toMatchObject({
      kind: "impossible",
      reason: expect.stringMatching(
        /^Cannot get etcd, kubectl: .*Go on the PATH.*KUBEBUILDER_ASSETS/,
      ) as string,
    });
  } finally {
    process.env["PATH"] = path;
  }
});

test("a download is unpacked once its digest is the published one", async () => {
  using folder = tempFolder();
  await using site = await releaseSite(folder.path);
  const target = join(folder.path, "target", "tool");
  mkdirSync(join(folder.path, "target"));

  expect(await download(site.release(site.digest), target)).toBe(true);
  expect(readFileSync(target, "utf8")).toBe("#!/bin/sh\n");
  expect(readdirSync(join(folder.path, "target"))).toEqual(["tool"]);
});

test("a download with another digest is thrown away", async () => {
  using folder = tempFolder();
  await using site = await releaseSite(folder.path);
  const target = join(folder.path, "target", "tool");
  mkdirSync(join(folder.path, "target"));

  expect(await download(site.release("0".repeat(64)), target)).toBe(false);
  expect(readdirSync(join(folder.path, "target"))).toEqual([]);
});

test("a network that says no is no error", async () => {
  using folder = tempFolder();
  const release = { url: "http://127.0.0.1:1/tool", checksumUrl: "http://127.0.0.1:1/tool.sha256" };

  expect(await download(release, join(folder.path, "tool"))).toBe(false);
  expect(existsSync(join(folder.path, "tool"))).toBe(false);
});

test("builders of one folder go one after the other, and a failed one lets go", async () => {
  using folder = tempFolder();
  const order: string[] = [];
  let finish = () => {};
  const running = new Promise<void>((resolve) => (finish = resolve));
  let begin = () => {};
  const begun = new Promise<void>((resolve) => (begin = resolve));
  const first = withLock(folder.path, { seconds: 5 }, async () => {
    order.push("first begins");
    begin();
    await running;
    order.push("first fails");
    throw new Error("broken");
  }).catch(() => {});
  await begun;
  const waiting = () => {
    order.push("second waits");
    finish();
  };
  const second = withLock(folder.path, { waiting, seconds: 5 }, async () => order.push("second begins"));
  await Promise.all([first, second]);

  expect(order).toEqual(["first begins", "second waits", "first fails", "second begins"]);
});

test("a lock that is not given back in time is an error", async () => {
  using folder = tempFolder();
  const release = await takeLock(folder.path, { seconds: 0 });

  await expect(takeLock(folder.path, { seconds: 0 })).rejects.toThrow("another process has held it");
  release();
  await expect(takeLock(folder.path, { seconds: 5 }).then((again) => again())).resolves.toBeUndefined();
});

function place(path: string): void {
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, "#!/bin/sh\n", { mode: 0o755 });
}

/** A web site with one release: an archive with a program, and the digest it claims. */
async function releaseSite(folder: string) {
  mkdirSync(join(folder, "linux"));
  place(join(folder, "linux", "tool"));
  await runProgram("tar", ["-czf", join(folder, "tool.tar.gz"), "-C", folder, "linux"]);
  const archive = readFileSync(join(folder, "tool.tar.gz"));
  const server = createServer((request, response) => {
    const claimed = /claims=([0-9a-f]+)/.exec(request.url ?? "")?.[1];
    response.end(
      claimed === undefined ? archive : `${"1".repeat(64)}  other.tar.gz\n${claimed}  tool.tar.gz\n`,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("Cannot read the port of the site.");
  const base = `http://127.0.0.1:${address.port}`;
  return {
    digest: createHash("sha256").update(archive).digest("hex"),
    release: (claims: string) => ({
      url: `${base}/tool.tar.gz`,
      checksumUrl: `${base}/sums?claims=${claims}`,
      member: "linux/tool",
    }),
    async [Symbol.asyncDispose]() {
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
