import { expect, test } from "vitest";

import { type Shown, statusRows, statusTable } from "./statusTable.ts";

const now = Date.parse("2026-11-23T12:00:14Z");

function object(kind: string, name: string, status: object | undefined, namespace = "default"): Shown {
  return {
    apiVersion: "smtprelay.dev/v1alpha1",
    kind,
    metadata: { name, namespace, creationTimestamp: "2026-11-23T12:00:00Z" },
    spec: {},
    ...(status === undefined ? {} : { status }),
  } as unknown as Shown;
}
const ready = { type: "Ready", status: "True", message: "fine" };

test("the table says of each object what a person asks first", () => {
  const rows = statusRows([
    object("IpPool", "default", {
      conditions: [ready],
      addresses: [{}, {}],
      warming: "day 1/14",
      today: "20/400",
    }),
    object("SmtpRelay", "mail", { conditions: [ready], ready: "2/2", queue: { messages: 0, oldest: "" } }),
    object("SendingDomain", "example.test", {
      conditions: [ready],
      selectors: "r2611,e2611",
      dns: "Verified",
      nextRotation: "2027-05-22",
    }),
  ]);

  expect(statusTable(rows, now, null)).toEqual([
    "KIND            NAME           READY   DETAIL                                               AGE",
    "SmtpRelay       mail           True    2/2 replicas · queued 0 · oldest –                   14s",
    "SendingDomain   example.test   True    DKIM r2611,e2611 · aligned · next rotation 22 May    14s",
    "IpPool          default        True    2 addresses · warming day 1/14 · 20/400 used today   14s",
  ]);
});

test("what is not ready says why; what was not looked at says that", () => {
  const rows = statusRows([
    object("SmtpRelay", "mail", {
      conditions: [{ type: "Ready", status: "False", message: "IpPool default does not exist." }],
    }),
    object("SmtpRelay", "new", undefined, "team"),
  ]);

  expect(rows.map(({ name, ready, detail }) => [name, ready, detail])).toEqual([
    ["mail", "False", "IpPool default does not exist."],
    ["team/new", "Unknown", "not looked at yet"],
  ]);
});
