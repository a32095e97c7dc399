import { expect, test } from "vitest";

import { bindFault } from "./bindFault.ts";

test("an address of this machine can be connected from, another one cannot, and the system says why", async () => {
  expect(await bindFault("127.0.0.1")).toBeNull();
  // RFC 5737: 192.0.2.0/24 is on no machine; RFC 3849: nor is 2001:db8::/32.
  expect(await bindFault("192.0.2.1")).toBe("no connection can be made from 192.0.2.1: EADDRNOTAVAIL");
  expect(await bindFault("2001:db8::1")).toMatch(/^no connection can be made from 2001:db8::1: E[A-Z]+$/);
});
