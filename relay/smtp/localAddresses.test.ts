import type { NetworkInterfaceInfo } from "node:os";

import { expect, test } from "vitest";

import { MOST_LOCAL_ADDRESSES } from "../contract/report.ts";
import { bindFault } from "./bindFault.ts";
import { localAddresses } from "./localAddresses.ts";

const ip = (cidr: string, internal = false): NetworkInterfaceInfo => {
  const [address = ""] = cidr.split("/");
  const rest = { netmask: "", mac: "00:00:00:00:00:00", internal, cidr, address };
  return address.includes(":") ? { ...rest, family: "IPv6", scopeid: 0 } : { ...rest, family: "IPv4" };
};

test("a connection can be made from each address of this machine, and from all of its loopback network", async () => {
  const found = localAddresses() ?? [];
  expect(found).toContain("127.0.0.1/8");
  expect(await bindFault("127.77.0.9")).toBeNull();

  const addresses = found.filter((address) => !address.includes("/"));
  expect(await Promise.all(addresses.map(bindFault))).toEqual(addresses.map(() => null));
});

test("addresses stand alone, those of loopback with their prefix, those of a link only not at all", () => {
  expect(
    localAddresses({
      lo: [ip("127.0.0.1/8", true), ip("192.0.2.10/32", true), ip("::1/128", true)],
      eth0: [ip("10.244.0.7/24"), ip("fe80::1/64")],
      net1: [ip("198.51.100.7/24"), ip("2001:db8::7/64"), ip("169.254.7.7/16"), ip("10.244.0.7/16")],
    }),
  ).toEqual(["10.244.0.7", "127.0.0.1/8", "192.0.2.10/32", "198.51.100.7", "2001:db8::7", "::1/128"]);
});

test("of more than a report holds nothing is said, for half a list would be a wrong one", () => {
  const many = (count: number) => ({
    eth0: Array.from({ length: count }, (_, index) => ip(`10.0.${index >> 8}.${index & 255}/16`)),
  });

  expect(localAddresses(many(MOST_LOCAL_ADDRESSES))).toHaveLength(MOST_LOCAL_ADDRESSES);
  expect(localAddresses(many(MOST_LOCAL_ADDRESSES + 1))).toBeNull();
});
