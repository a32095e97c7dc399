/**
 * A relay in a network of its own, for stories about addresses that come and go. Started by `unshare --net`; prints
 * what the relay says of its addresses, once with 198.51.100.7 on the interface, once with 192.0.2.10 as well, and
 * once without the first. Nothing of it is seen outside, and all of it is gone with this process.
 */
import { runProgram } from "./peers/program.ts";
import { POD, startRelay, testConfig } from "./relayProcess.ts";

const ip = async (...words: string[]) => await runProgram("ip", words);
const source = (name: string, address: string) => ({
  ...{ name, pool: "default", address, ehloName: `${name}.mail.example.test` },
  ...{ state: "Active" as const, stateReason: "", allowance: [] },
});

await ip("link", "set", "lo", "up");
await ip("link", "add", "net1", "type", "veth", "peer", "name", "net1-far");
for (const end of ["net1", "net1-far"]) await ip("link", "set", end, "up");
await ip("address", "add", "198.51.100.7/24", "dev", "net1");

await using relay = await startRelay({
  config: (listenerPort) => ({
    ...testConfig({ listenerPort }),
    pods: [{ name: POD, state: "Active", sources: [source("a", "192.0.2.10"), source("b", "198.51.100.7")] }],
  }),
});
const print = async (missing: string) => {
  const { localAddresses, missingAddresses } = await relay.until(
    (report) => report.missingAddresses.map((one) => one.source).join() === missing,
    30,
  );
  console.log(JSON.stringify({ localAddresses, missing: missingAddresses.map((one) => one.source) }));
};
await print("a");
await ip("address", "add", "192.0.2.10/24", "dev", "net1");
await print("");
await ip("address", "del", "198.51.100.7/24", "dev", "net1");
await print("b");
