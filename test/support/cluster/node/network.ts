/**
 * The node's network: one bridge with the node's address, which the pods' CNI network hangs on. It exists before
 * the API server does, whose address it is; pods and this machine reach each other over it, nobody else.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { runProgram } from "../../peers/program.ts";

export const BRIDGE = "smtp-relay0";
export const NODE_ADDRESS = "10.244.0.1";
export const POD_RANGE = "10.244.0.0/24";
/** Name of the CNI network: a folder of its own among CNI's records. */
const NETWORK = "smtp-relay-cluster";

const FORWARDING = "/proc/sys/net/ipv4/ip_forward";

export function bridgeExists(): boolean {
  return existsSync(`/sys/class/net/${BRIDGE}`);
}

/** Makes the bridge and lets packets through it; remembers in `directory` what the machine had before. */
export async function makeBridge(directory: string): Promise<void> {
  const former = join(directory, "ip_forward.before");
  if (!existsSync(former)) writeFileSync(former, readFileSync(FORWARDING, "utf8"));
  await runProgram("ip", ["link", "add", BRIDGE, "type", "bridge"]);
  await runProgram("ip", ["address", "add", `${NODE_ADDRESS}/24`, "dev", BRIDGE]);
  await runProgram("ip", ["link", "set", BRIDGE, "up"]);
  writeFileSync(FORWARDING, "1");
}

/** The configuration of the pods' network, in a folder of its own. */
export function writeCniConfiguration(directory: string): string {
  const folder = join(directory, "cni");
  mkdirSync(folder, { recursive: true });
  const configuration = {
    cniVersion: "0.4.0",
    name: NETWORK,
    plugins: [
      {
        type: "bridge",
        bridge: BRIDGE,
        isGateway: true,
        // A pod that calls its own Service comes back to itself.
        hairpinMode: true,
        ipMasq: false,
        ipam: {
          type: "host-local",
          ranges: [[{ subnet: POD_RANGE, gateway: NODE_ADDRESS }]],
          routes: [{ dst: "0.0.0.0/0" }],
          dataDir: join(directory, "cni-addresses"),
        },
      },
      { type: "portmap", capabilities: { portMappings: true } },
    ],
  };
  writeFileSync(join(folder, "10-pods.conflist"), JSON.stringify(configuration));
  return folder;
}

/** Takes the bridge away and puts the machine's forwarding back as it was. */
export async function removeBridge(directory: string): Promise<void> {
  if (bridgeExists()) await runProgram("ip", ["link", "delete", BRIDGE]);
  const former = join(directory, "ip_forward.before");
  if (existsSync(former)) writeFileSync(FORWARDING, readFileSync(former, "utf8"));
  // Results of CNI calls whose pods were never torn down.
  const results = "/var/lib/cni/results";
  if (!existsSync(results)) return;
  for (const name of readdirSync(results).filter((one) => one.startsWith(`${NETWORK}-`))) {
    rmSync(join(results, name), { force: true });
  }
}
