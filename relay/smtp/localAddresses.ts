/**
 * The addresses this machine (in a cluster: the pod) has, as its interfaces that are up bear them. The operator
 * gives an address of a pool to a pod that has it; whether a connection can be made from one is bindFault's to say.
 */
import { networkInterfaces } from "node:os";

import { MOST_LOCAL_ADDRESSES } from "../contract/report.ts";

type Interfaces = ReturnType<typeof networkInterfaces>;

/**
 * Sorted, each once. Loopback interfaces with their prefix: the system takes all of 127.0.0.0/8 as its own.
 * Null: more than a report holds, as on a machine that is no pod; half a list would be a wrong one.
 */
export function localAddresses(interfaces: Interfaces = networkInterfaces()): readonly string[] | null {
  const found = new Set<string>();
  for (const addresses of Object.values(interfaces)) {
    for (const { address, cidr, internal } of addresses ?? []) {
      if (!isLinkLocal(address)) found.add(internal ? (cidr ?? address) : address);
    }
  }
  return found.size > MOST_LOCAL_ADDRESSES ? null : [...found].toSorted();
}

/** RFC 3927 §2.1 and RFC 4291 §2.5.6: such addresses mean something on their link only, so no mail leaves by them. */
function isLinkLocal(address: string): boolean {
  return address.startsWith("169.254.") || /^fe[89ab]/i.test(address);
}
