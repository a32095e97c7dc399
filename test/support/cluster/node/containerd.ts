/** containerd of our own: configuration, start, images. Nothing of the machine's containerd is touched. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { peerProgram } from "../../peers/debian.ts";
import { type Program, runProgram } from "../../peers/program.ts";
import { CNI_PLUGINS } from "./packages.ts";
import { PAUSE_IMAGE } from "./pauseImage.ts";
import { startTied } from "../tied.ts";

export interface ContainerRuntime {
  readonly program: Program;
  /** Path, without "unix://". */
  readonly socket: string;
  readonly state: string;
  /** Imports an OCI or Docker archive; the images keep the names written in it. */
  importImages(archive: string): Promise<void>;
  /** A second name for an image that is there. */
  nameImage(name: string, more: string): Promise<void>;
}

const READY_WITHIN_MS = 30_000;

export function containerdPaths(directory: string) {
  const folder = join(directory, "containerd");
  return { folder, root: join(folder, "root"), state: join(folder, "state"), socket: join(folder, "socket") };
}

export async function startContainerd(directory: string, cniFolder: string): Promise<ContainerRuntime> {
  const { folder, root, state, socket } = containerdPaths(directory);
  mkdirSync(folder, { recursive: true });
  const configuration = join(folder, "config.toml");
  writeFileSync(configuration, configurationText({ root, state, socket, cniFolder }));
  const program = startTied(peerProgram("containerd"), ["--config", configuration]);
  const ctr = async (...words: string[]) =>
    await runProgram(peerProgram("ctr"), ["--address", socket, "-n", "k8s.io", ...words], { seconds: 120 });
  const deadline = performance.now() + READY_WITHIN_MS;
  for (;;) {
    const answers = await ctr("version").then(
      () => true,
      () => false,
    );
    if (answers) break;
    if (program.child.exitCode !== null || performance.now() > deadline) {
      await program.stop();
      throw new Error(`Cannot start containerd:\n${program.output().slice(-3000)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return {
    program,
    socket,
    state,
    async importImages(archive) {
      await ctr("images", "import", archive);
    },
    async nameImage(name, more) {
      await ctr("images", "tag", name, more);
    },
  };
}

function configurationText(paths: {
  readonly root: string;
  readonly state: string;
  readonly socket: string;
  readonly cniFolder: string;
}): string {
  const cri = `plugins."io.containerd.grpc.v1.cri"`;
  return `version = 2
root = "${paths.root}"
state = "${paths.state}"

[grpc]
  address = "${paths.socket}"

[${cri}]
  sandbox_image = "${PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE a process may not lower its score: every pod would fail, and not say why.
  restrict_oom_score_adj = true
  disable_tcp_service = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"

[${cri}.containerd]
  snapshotter = "overlayfs"
  default_runtime_name = "runc"

[${cri}.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[${cri}.cni]
  bin_dir = "${CNI_PLUGINS}"
  conf_dir = "${paths.cniFolder}"
`;
}
