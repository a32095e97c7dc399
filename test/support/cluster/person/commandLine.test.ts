/** What may be typed after `npm run cluster --`, and which cluster is meant by it. */
import { expect, test } from "vitest";

import { readClusterCommand } from "./commandLine.ts";

const ours = "/cache/cluster/kubeconfig";
const read = (kubeconfig: string | undefined, ...words: string[]) =>
  readClusterCommand(words, { kubeconfig, ours });

test("without KUBECONFIG it is the throw-away cluster", () => {
  expect(read(undefined)).toEqual({ kind: "throwAway", action: "up" });
  expect(read("", "down")).toEqual({ kind: "throwAway", action: "down" });
});

test("with the throw-away cluster's own kubeconfig, as its hints say, it is that one", () => {
  expect(read(ours, "down")).toEqual({ kind: "throwAway", action: "down" });
});

test("its supervisor is never taken for a caller of another cluster", () => {
  expect(read("/home/me/.kube/config", "supervise")).toEqual({ kind: "throwAway", action: "supervise" });
});

test.each([
  ["registry.example/mail/relay:1.2", { repository: "registry.example/mail/relay", tag: "1.2" }],
  ["registry.example:5000/relay:x", { repository: "registry.example:5000/relay", tag: "x" }],
  [`relay:1@sha256:${"a".repeat(64)}`, { repository: "relay", digest: `sha256:${"a".repeat(64)}` }],
])("the image %s", (text, image) => {
  expect(read("/kube", "--image", text, "--context", "prod", "--yes")).toEqual({
    kind: "existing",
    action: "up",
    order: { image, values: [], context: "prod", yes: true },
  });
});

test("values may name the image", () => {
  expect(read("/kube", "--values", "a.yaml", "--values", "b.yaml")).toMatchObject({
    kind: "existing",
    order: { image: null, values: ["a.yaml", "b.yaml"] },
  });
});

test("going down needs no image", () => {
  expect(read("/kube", "down")).toMatchObject({ kind: "existing", action: "down" });
});

test.each([
  ["/kube", [], "npm run image"],
  ["/kube", ["--image", "relay"], "REPOSITORY:TAG"],
  ["/kube", ["--image", "registry.example:5000/relay"], "REPOSITORY:TAG"],
  ["/kube", ["--image", "relay@sha256:12"], "REPOSITORY:TAG"],
  ["/kube", ["sideways"], "sideways"],
  ["/kube", ["--force"], "--force"],
  [undefined, ["--image", "relay:1"], "KUBECONFIG"],
])("KUBECONFIG %s with %j is refused with a reason and the way to help", (kubeconfig, words, reason) => {
  const command = read(kubeconfig, ...words);

  expect(command).toMatchObject({ kind: "refused", text: expect.stringContaining(reason) });
  expect(command).toMatchObject({ text: expect.stringContaining("--help") });
});
