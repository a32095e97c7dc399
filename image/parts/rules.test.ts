/** The rules that decide which files of a part get into the image. */
import { expect, test } from "vitest";

import { keptOfDebian, keptOfPackage, keptOfTree } from "./rules.ts";

test.each([
  ["package.json", true, "Node looks up exports there"],
  ["dist/index.js", true, "code"],
  ["dist/doc/Document.js", true, "a module that is called so"],
  ["dist/index.d.ts", false, "types"],
  ["dist/index.d.cts", false, "types"],
  ["src/index.ts", false, "Node strips no types in packages"],
  ["dist/index.js.map", false, "a map"],
  ["test/index.js", false, "tests"],
  ["README.md", false, "a document"],
  ["LICENSE", true, "the condition of passing it on"],
  ["LICENSE-MIT.txt", true, "the condition of passing it on"],
  ["lib/license.ts", false, "code that is called so, as types"],
  ["tsconfig.json", false, "for developers"],
  [".eslintrc.json", false, "for developers"],
  ["prebuilds/linux-x64/url.bare", false, "built for another runtime"],
])("of a package, %s: %s, %s", (path, kept, _because) => {
  expect(keptOfPackage(path)).toBe(kept);
});

test.each([
  ["lib64/ld-linux-x86-64.so.2", true],
  ["lib/ld-linux-aarch64.so.1", true],
  ["lib/x86_64-linux-gnu/libc.so.6", true],
  ["usr/lib/aarch64-linux-gnu/libstdc++.so.6.0.30", true],
  ["usr/share/doc/libc6/copyright", true],
  ["usr/share/doc/libc6/changelog.Debian.gz", false],
  ["usr/lib/x86_64-linux-gnu/gconv/UTF-16.so", false],
  ["lib/x86_64-linux-gnu/libmemusage.so", false],
  ["usr/share/gcc/python/libstdcxx/v6/printers.py", false],
])("of Debian, %s: %s", (path, kept) => {
  expect(keptOfDebian(path)).toBe(kept);
});

test.each([
  ["operator/main.ts", true],
  ["relay/policy/providers.json", true],
  ["relay/policy/retry.test.ts", false],
  ["operator/local/quickstart/main.ts", false],
  ["crds/generated/ippools.smtprelay.dev.yaml", false],
  ["image/commands/smtp-relay.mjs", true],
  ["image/main.ts", false],
  ["test/run.ts", false],
  ["bin/run.mjs", false],
])("of the repository, %s: %s", (path, kept) => {
  expect(keptOfTree(path)).toBe(kept);
});
