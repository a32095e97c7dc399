import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";

import { afterEach, expect, test, vi } from "vitest";

import { aReport } from "../../test/support/builders.ts";
import { FakeClock } from "../../test/support/fakeClock.ts";
import { createReportSource, LARGEST_REPORT_BYTES, type ReportSource } from "./relayReports.ts";

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function pod(answer: RequestListener, clock = new FakeClock(), concurrency = 16) {
  let asked = 0;
  const server = createServer((request, response) => {
    asked += 1;
    answer(request, response);
  });
  servers.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const source: ReportSource = createReportSource({
    clock,
    concurrency,
    endpoint: ({ ip }) => (ip === null ? null : { host: ip, port }),
  });
  const target = { namespace: "default", name: "mail-0", uid: "u1", ip: "127.0.0.1" };
  return { source, target, clock, asked: () => asked };
}

const report = aReport({ pod: "mail-0" });
const json: RequestListener = (_, response) => void response.end(JSON.stringify(report));

test("a report is read from the pod", async () => {
  const { source, target } = await pod(json);

  expect(await source.ask(target, 0)).toEqual({ kind: "report", report });
});

test("a report of a newer relay is read without what it says beyond this version, at any depth", async () => {
  const full = aReport({
    pod: "mail-0",
    queue: {
      ...{ messages: 2, recipients: 3, oldestSeconds: 7 },
      providers: [{ provider: "google", recipients: 3, oldestSeconds: 7 }],
      classes: [{ queueClass: "bulk", recipients: 3, oldestSeconds: 7 }],
    },
    restraints: [
      {
        ...{ source: "a", provider: "google", kind: "Backoff", reason: "421 4.7.28" },
        ...{ since: "2026-11-23T11:30:00Z", until: null },
      },
    ],
    missingAddresses: [{ source: "b", reason: "EADDRNOTAVAIL", since: "2026-11-23T11:30:00Z" }],
    usage: [{ source: "a", day: "2026-11-23", provider: "total", used: 3, limit: 20 }],
    counters: [
      {
        ...{ source: "a", provider: "google", day: "2026-11-23" },
        ...{ delivered: 1, deferred: 2, bounced: 3, blocked: 4 },
      },
    ],
    spool: { state: "Ok", reason: "", setAside: 1 },
  });
  const newer = JSON.stringify(full, (_, value: unknown) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? { ...value, addedLater: ["something"] }
      : value,
  );
  const { source, target } = await pod((_, response) => void response.end(newer));

  expect(newer.match(/addedLater/g)).toHaveLength(9);
  expect(await source.ask(target, 0)).toEqual({ kind: "report", report: full });
});

test("a report of an older relay, without what came since, is read", async () => {
  const { missingAddresses: _, ...older } = report;
  const { source, target } = await pod((_request, response) => void response.end(JSON.stringify(older)));

  expect(await source.ask(target, 0)).toEqual({ kind: "report", report });
});

test.each<[string, RequestListener, RegExp]>([
  ["answers 503", (_, response) => void response.writeHead(503).end(), /answered 503/],
  ["answers no JSON", (_, response) => void response.end("<html>"), /JSON/],
  [
    "answers another version",
    (_, response) => void response.end(JSON.stringify({ ...report, version: 2 })),
    /not understood: version/,
  ],
  [
    "says something known in another way",
    (_, response) => void response.end(JSON.stringify({ ...report, spool: { state: "Ok", reason: 7 } })),
    /not understood: spool\.reason/,
  ],
  [
    "leaves out what it must say",
    (_, response) => void response.end(JSON.stringify({ ...report, usage: undefined })),
    /not understood: usage/,
  ],
  [
    "is another pod",
    (_, response) => void response.end(JSON.stringify({ ...report, pod: "crm-0" })),
    /another pod answers .* crm-0/,
  ],
  ["hangs up", (request) => void request.socket.destroy(), /ECONNRESET|hang up/],
  [
    "never stops talking",
    (_, response) => {
      const chunk = Buffer.alloc(65_536, 32);
      const more = () => {
        while (!response.destroyed && response.write(chunk));
        if (!response.destroyed) response.once("drain", more);
      };
      more();
    },
    new RegExp(`larger than ${LARGEST_REPORT_BYTES}`),
  ],
])("a pod that %s is silent, with the reason", async (_, answer, reason) => {
  const { source, target } = await pod(answer);

  expect(await source.ask(target, 0)).toEqual({ kind: "silent", reason: expect.stringMatching(reason) });
});

test("a pod that does not answer in time is silent", async () => {
  const { source, target, clock, asked } = await pod(() => {});
  const answer = source.ask(target, 0);
  await vi.waitFor(() => expect(asked()).toBe(1));
  await clock.advance(3000);

  expect(await answer).toMatchObject({ kind: "silent", reason: expect.stringContaining("within 3 s") });
  expect(clock.pending).toBe(0);
});

test("a pod without an address, or with nobody at it, is silent", async () => {
  const { source, target, clock } = await pod(json);
  expect(await source.ask({ ...target, ip: null }, 0)).toMatchObject({ kind: "silent" });

  for (const server of servers.splice(0)) server.close();
  expect(await source.ask(target, 0)).toMatchObject({ reason: expect.stringContaining("ECONNREFUSED") });
  expect(clock.pending).toBe(0);
});

test("who can do with an older answer shares it; who cannot asks anew", async () => {
  const { source, target, clock, asked } = await pod(json);
  await Promise.all([source.ask(target, 5), source.ask(target, 5), source.ask(target, 5)]);
  expect(asked()).toBe(1);

  await source.ask(target, 0);
  expect(asked()).toBe(2);
  await clock.advance(5001);
  await source.ask(target, 5);
  expect(asked()).toBe(3);
  await source.ask({ ...target, uid: "u2" }, 5);
  expect(asked()).toBe(4);
});

test("questions wait their turn, and each gets its answer", async () => {
  let open = 0;
  let most = 0;
  const { source, target } = await pod(
    (_, response) => {
      open += 1;
      most = Math.max(most, open);
      setImmediate(() => {
        open -= 1;
        response.end(JSON.stringify(report));
      });
    },
    new FakeClock(),
    3,
  );
  const answers = await Promise.all(Array.from({ length: 30 }, () => source.ask(target, 0)));

  expect(answers.every((answer) => answer.kind === "report")).toBe(true);
  expect(most).toBeLessThanOrEqual(3);
});
