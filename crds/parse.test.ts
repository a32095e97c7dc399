import { expect, test } from "vitest";

import { API_VERSION } from "./group.ts";
import { parseIpPool, parseSendingDomain, parseSmtpRelay } from "./parse.ts";

const metadata = {
  name: "default",
  namespace: "mail",
  uid: "6f1c",
  resourceVersion: "1",
  generation: 1,
  creationTimestamp: "2026-11-23T10:00:00Z",
};
const spec = { addresses: [{ name: "a", ip: "192.0.2.1", ehloName: "a.example.com" }] };
const pool = { apiVersion: API_VERSION, kind: "IpPool", metadata, spec };

test("parseIpPool() fills in defaults and keeps metadata and status", () => {
  expect(parseIpPool({ ...pool, status: { ready: "1/1" } })).toEqual({
    apiVersion: API_VERSION,
    kind: "IpPool",
    metadata,
    spec: {
      addresses: [{ name: "a", ip: "192.0.2.1", ehloName: "a.example.com", state: "Active" }],
      warmup: { ramp: "Standard" },
      checks: { forwardConfirmedReverseDns: "Require" },
    },
    status: { ready: "1/1" },
  });
  expect(parseIpPool(pool)).not.toHaveProperty("status");
});

test("fields of a newer CRD are left out instead of stopping the operator", () => {
  const newer = {
    ...pool,
    spec: { ...spec, newGroup: { mode: "X" }, addresses: [{ ...spec.addresses[0], newField: 1 }] },
    status: { ready: "1/1", newer: true },
  };

  expect(parseIpPool(newer)).toEqual(parseIpPool({ ...pool, status: { ready: "1/1" } }));
});

test("what does not fit is an error that names object and field", () => {
  expect(() => parseIpPool({ ...pool, spec: { addresses: [] } })).toThrow(
    "Cannot read IpPool mail/default: spec.addresses: Invalid value: must have at least 1 item",
  );
  expect(() => parseIpPool({ ...pool, status: { reputation: "Splendid" } })).toThrow(
    'Cannot read IpPool mail/default: status.reputation: Unsupported value: "Splendid"',
  );
  expect(() => parseSmtpRelay(pool)).toThrow(`it is ${API_VERSION} IpPool`);
  expect(() => parseSendingDomain(null)).toThrow("Cannot read an object as");
  expect(() => parseIpPool({ ...pool, metadata: {} })).toThrow("no metadata.name");
});
