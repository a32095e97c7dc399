/**
 * What the operator relies on of a Kubernetes API, told as tests: the same suite runs on the in-memory
 * cluster and on a real API server (1.30 or newer) with our CRDs installed. It asserts only what is true
 * of both; a difference found on the real one is a defect of the one in memory.
 */
import { describe } from "vitest";

import { applySuite } from "./apply.ts";
import { deletionSuite } from "./deletion.ts";
import { type KubeFixture, kubeKit } from "./kit.ts";
import { listAndWatchSuite } from "./listAndWatch.ts";
import { ownershipSuite } from "./ownership.ts";
import { statusSuite } from "./status.ts";
import { versionsSuite } from "./versions.ts";

export type { KubeFixture } from "./kit.ts";

/** To be called in a describe block that names the implementation. Needs no controllers. */
export function kubeContract(fixture: () => Promise<KubeFixture>): void {
  const kit = kubeKit(fixture);
  describe("apply", () => {
    applySuite(kit);
  });
  describe("status", () => {
    statusSuite(kit);
  });
  describe("list and watch", () => {
    listAndWatchSuite(kit);
  });
  describe("versions", () => {
    versionsSuite(kit);
  });
  describe("delete", () => {
    deletionSuite(kit);
  });
}

/** Needs the garbage collector of kube-controller-manager. */
export function garbageCollectionContract(fixture: () => Promise<KubeFixture>): void {
  ownershipSuite(kubeKit(fixture));
}
