/** Test projects by folder: `unit` stands beside its file; the others are told in test/. */
import { defineConfig } from "vitest/config";

const unit = ["crds", "relay", "operator", "image", "test/support", "test/bench"].map(
  (room) => `${room}/**/*.test.ts`,
);

const onNode = ["existing", "leftovers", "node", "nodeFaults", "story"].map(
  (file) => `test/cluster/${file}.test.ts`,
);
const cluster = { testTimeout: 120_000, hookTimeout: 3_600_000, fileParallelism: false };

export default defineConfig({
  test: {
    // Two cores: more workers only wait for each other.
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    setupFiles: ["test/support/requireNode24.ts"],
    projects: [
      { extends: true, test: { name: "unit", include: unit } },
      { extends: true, test: { name: "architecture", include: ["test/architecture/**/*.test.ts"] } },
      { extends: true, test: { name: "contract", include: ["test/contract/**/*.test.ts"] } },
      { extends: true, test: { name: "scenarios", include: ["test/scenarios/**/*.test.ts"] } },
      // Peers from Debian (Postfix, DNS servers, swaks, python3-dkim): see test/peers.ts.
      // Helm, kubeconform and promtool where they are: see test/support/charts.
      {
        extends: true,
        test: { name: "charts", include: ["test/charts/**/*.test.ts"], testTimeout: 300_000 },
      },
      // The image of a release, with its parts from npm and Debian: see image/.
      {
        extends: true,
        test: { name: "image", include: ["test/image/**/*.test.ts"], testTimeout: 120_000 },
      },
      // Kubernetes' own programs, see test/support/cluster. One file at a time; the two projects may run side by
      // side, for API servers take any port, and only one file has the node of this machine.
      {
        extends: true,
        test: { ...cluster, name: "api", include: ["test/cluster/**/*.test.ts"], exclude: onNode },
      },
      { extends: true, test: { ...cluster, name: "node", include: onNode } },
      { extends: true, test: { name: "peers", include: ["test/peers/**/*.test.ts"], testTimeout: 120_000 } },
    ],
  },
});
