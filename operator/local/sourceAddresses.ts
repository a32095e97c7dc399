/**
 * Source addresses on a machine where only 127.0.0.1 is up: a pool of 127.0.0.11 and .12 then sends from
 * 127.0.0.1, as behind a NAT. Only loopback addresses are exchanged; a real address that is not on this
 * machine stays, and the relay says that it cannot use it.
 */
import { configFiles } from "../../relay/contract/endpoints.ts";
import type { AdaptFile } from "./podFiles.ts";

const ONLY_ADDRESS = "127.0.0.1";

/** Leaves every file as it is where the whole loopback range is up. */
export function adaptSourceAddresses(hasLoopbackRange: boolean): AdaptFile {
  return (name, bytes) => {
    if (hasLoopbackRange || name !== configFiles.config) return bytes;
    return Buffer.from(
      bytes
        .toString("utf8")
        .replace(/"address":(\s*)"127\.\d{1,3}\.\d{1,3}\.\d{1,3}"/g, `"address":$1"${ONLY_ADDRESS}"`),
    );
  };
}
