/** What may be typed after `npm run image --`. */
import { expect, test } from "vitest";

import { readImageCommand } from "./commandLine.ts";

const read = (...words: string[]) =>
  readImageCommand(words, { product: "smtp-relay-operator", version: "1.2.3", machine: "x64" });

test("without words: this machine's architecture, the chart's name and version", () => {
  expect(read()).toMatchObject({
    kind: "build",
    architecture: "amd64",
    // What a name without a registry means to kubelet.
    name: expect.stringMatching(/^[a-z.]+\/library\/smtp-relay-operator$/),
    tag: "1.2.3",
    output: ".cache/smtp-relay-operator-1.2.3-linux-amd64.tar",
    takeServed: false,
  });
});

test("a name with a registry stays as it is", () => {
  expect(read("--name", "registry.example:5000/mail/relay", "--tag", "x")).toMatchObject({
    name: "registry.example:5000/mail/relay",
    tag: "x",
  });
  expect(read("--name", "localhost/relay")).toMatchObject({ name: "localhost/relay" });
  expect(read("--name", "team/relay")).toMatchObject({
    name: expect.stringMatching(/^[a-z.]+\/team\/relay$/),
  });
});

test.each([
  [["--platform", "windows/amd64"], "linux/amd64 or linux/arm64"],
  [["--name", "Relay"], "lower case"],
  [["--name", "relay:1"], "without a tag"],
  [["--tag", "a b"], "--tag"],
  [["--output", "a", "--root", "b"], "not both"],
  [["--update-lock", "--json"], "goes alone"],
  [["--fast"], "--fast"],
  [["relay.tar"], "relay.tar"],
])("%j is refused with a reason and the way to help", (words, reason) => {
  const command = read(...words);
  expect(command).toMatchObject({ kind: "refused", text: expect.stringContaining(reason) });
  expect(command).toMatchObject({ text: expect.stringContaining("--help") });
});
