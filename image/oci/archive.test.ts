/** An archive is what the image-spec says, holds what was put in, and is the same bytes for the same image. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";

import { unpackTar } from "modern-tar";
import { expect, onTestFinished, test } from "vitest";

import { type ImageFile, textFile } from "../files.ts";
import { type Image, packImage } from "./archive.ts";
import { digestOf } from "./digest.ts";
import { tarOf } from "./tar.ts";

const long = `app/node_modules/${"a-long-name/".repeat(12)}index.js`;
const image: Image = {
  name: "example.test/thing:1",
  architecture: "arm64",
  layers: [
    {
      name: "base",
      files: [{ kind: "folder", path: "tmp", mode: 0o1777 }, textFile("etc/passwd", "root\n")],
    },
    {
      name: "code",
      files: [
        textFile(long, "deep\n"),
        { kind: "file", path: "bin/run", mode: 0o755, content: Buffer.from("#!") },
        { kind: "link", path: "bin/again", target: "/bin/run" },
      ],
    },
  ],
  entrypoint: ["/bin/run"],
  command: ["--help"],
  user: "65532:65532",
  workingFolder: "/app",
  environment: ["PATH=/bin"],
  created: "2026-01-02T03:04:05Z",
  annotations: { "org.opencontainers.image.version": "1" },
};

/** As a reader sees it: by path, digests checked. */
async function read(archive: Uint8Array) {
  const files = new Map<string, Uint8Array>();
  for (const { header, data } of await unpackTar(archive, { strict: true }))
    files.set(header.name, data ?? new Uint8Array());
  const json = (path: string) => JSON.parse(Buffer.from(files.get(path) ?? []).toString("utf8"));
  const blob = ({ digest, size }: { digest: string; size: number }) => {
    const bytes = files.get(`blobs/sha256/${digest.slice(7)}`) ?? new Uint8Array();
    expect({ digest: digestOf(bytes), size: bytes.length }).toEqual({ digest, size });
    return bytes;
  };
  const blobJson = (descriptor: { digest: string; size: number }) =>
    JSON.parse(Buffer.from(blob(descriptor)).toString("utf8"));
  return { files, json, blob, blobJson };
}

test("index leads to manifest, manifest to configuration and layers, each by its digest and size", async () => {
  const packed = await packImage(image);
  const { json, blob, blobJson } = await read(packed.archive);

  expect(json("oci-layout")).toEqual({ imageLayoutVersion: "1.0.0" });
  const [named] = json("index.json").manifests;
  expect(named).toMatchObject({
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    digest: packed.digest,
    platform: { architecture: "arm64", os: "linux" },
    annotations: {
      "io.containerd.image.name": "example.test/thing:1",
      "org.opencontainers.image.ref.name": "1",
    },
  });
  const manifest = blobJson(named);
  expect(manifest).toMatchObject({ schemaVersion: 2, annotations: image.annotations });
  const config = blobJson(manifest.config);
  expect(config).toMatchObject({
    created: "2026-01-02T03:04:05Z",
    architecture: "arm64",
    os: "linux",
    config: {
      User: "65532:65532",
      Env: ["PATH=/bin"],
      Entrypoint: ["/bin/run"],
      Cmd: ["--help"],
      WorkingDir: "/app",
      Labels: image.annotations,
    },
    rootfs: { type: "layers" },
  });
  // image-spec config.md: a DiffID is the digest of the uncompressed tar, in the order of the layers.
  const diffIds = manifest.layers.map((layer: { digest: string; size: number }) =>
    digestOf(gunzipSync(blob(layer))),
  );
  expect(config.rootfs.diff_ids).toEqual(diffIds);
  expect(config.history).toHaveLength(2);
  expect(json("manifest.json")).toEqual([
    {
      Config: `blobs/sha256/${manifest.config.digest.slice(7)}`,
      RepoTags: ["example.test/thing:1"],
      Layers: manifest.layers.map(({ digest }: { digest: string }) => `blobs/sha256/${digest.slice(7)}`),
    },
  ]);
});

test("the order in which files are given does not matter, and neither does the day", async () => {
  const turned = image.layers.map(({ name, files }) => ({ name, files: files.toReversed() }));

  expect((await packImage({ ...image, layers: turned })).archive).toEqual((await packImage(image)).archive);
});

test("another tar reads what ours wrote: modes, owners, times, links and long paths", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tar-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "layer.tar");
  writeFileSync(file, await tarOf(image.layers.flatMap(({ files }) => files)));

  const { stdout } = spawnSync("tar", ["--numeric-owner", "--utc", "--full-time", "-tvf", file], {
    encoding: "utf8",
  });
  const rows = stdout
    .trimEnd()
    .split("\n")
    .map((row) => row.replaceAll(/ +/g, " "));
  expect(rows).toContain("drwxrwxrwt 0/0 0 1970-01-01 00:00:00 tmp/");
  expect(rows).toContain("-rwxr-xr-x 0/0 2 1970-01-01 00:00:00 bin/run");
  expect(rows).toContain("lrwxrwxrwx 0/0 0 1970-01-01 00:00:00 bin/again -> /bin/run");
  expect(rows).toContain("-rw-r--r-- 0/0 5 1970-01-01 00:00:00 etc/passwd");
  expect(rows).toContain(`-rw-r--r-- 0/0 5 1970-01-01 00:00:00 ${long}`);
  // Folders come before what stands in them.
  expect(rows.findIndex((row) => row.endsWith(" bin/"))).toBeLessThan(
    rows.findIndex((row) => row.endsWith(" bin/run")),
  );
});

test.each([
  ["../etc/passwd", "dot parts"],
  ["/etc/passwd", "empty or dot parts"],
  ["etc//passwd", "empty or dot parts"],
])("a path such as %s gets into no image", async (path, reason) => {
  await expect(tarOf([textFile(path, "")])).rejects.toThrow(reason);
});

test("two files of one path are refused: which of them won would be chance", async () => {
  const twice: ImageFile[] = [textFile("a/b", "1"), textFile("a/b", "2")];
  await expect(tarOf(twice)).rejects.toThrow('Cannot put "a/b" into an image twice.');
  await expect(tarOf([textFile("a", "1"), textFile("a/b", "2")])).rejects.toThrow('"a" is no folder');
});
