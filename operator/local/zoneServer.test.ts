import { createSocket } from "node:dgram";
import { Resolver } from "node:dns/promises";
import { connect } from "node:net";

import packets from "dns-packet";
import { afterEach, beforeEach, expect, test } from "vitest";

import { zonesFor } from "./zone.ts";
import { startZoneServer, type ZoneServer } from "./zoneServer.ts";

let server: ZoneServer;
let resolver: Resolver;

beforeEach(async () => {
  server = await startZoneServer({ host: "127.0.0.1", port: 0 });
  resolver = new Resolver({ timeout: 2000, tries: 2 });
  resolver.setServers([`127.0.0.1:${server.port}`]);
  server.publish(
    zonesFor(
      ["example.test"],
      [
        { name: "key.example.test", type: "TXT", value: "k".repeat(700) },
        { name: "example.test", type: "MX", value: "mx.example.test", preference: 5 },
        { name: "mx.example.test", type: "A", value: "127.0.0.9" },
        { name: "9.0.0.127.in-addr.arpa", type: "PTR", value: "mx.example.test" },
      ],
    ),
  );
});
afterEach(() => server.close());

test("an ordinary resolver finds every kind of record, a long TXT over TCP", async () => {
  expect(await resolver.resolveMx("example.test")).toMatchObject([
    { exchange: "mx.example.test", priority: 5 },
  ]);
  expect(await resolver.resolve4("mx.example.test")).toEqual(["127.0.0.9"]);
  expect(await resolver.reverse("127.0.0.9")).toEqual(["mx.example.test"]);
  const [strings] = await resolver.resolveTxt("key.example.test");
  expect(strings?.join("")).toBe("k".repeat(700));
  expect((await resolver.resolveSoa("example.test")).nsname).toBe("ns.example.test");
});

test("a missing name, a missing type and a foreign zone are told apart", async () => {
  const failure = (asked: Promise<unknown>) => asked.catch((error: NodeJS.ErrnoException) => error.code);

  expect(await failure(resolver.resolve4("none.example.test"))).toBe("ENOTFOUND");
  expect(await failure(resolver.resolve6("mx.example.test"))).toBe("ENODATA");
  expect(await failure(resolver.resolveMx("gmail.com"))).toBe("EREFUSED");
});

test("what is published last holds at once", async () => {
  server.publish(zonesFor(["example.test"], [{ name: "mx.example.test", type: "A", value: "127.0.0.10" }]));

  expect(await resolver.resolve4("mx.example.test")).toEqual(["127.0.0.10"]);
});

test("a long answer without EDNS is truncated, never cut", async () => {
  const reply = await askUdp(
    packets.encode({ type: "query", id: 7, questions: [{ type: "TXT", name: "key.example.test" }] }),
  );

  expect(reply.length).toBeLessThanOrEqual(512);
  const decoded = packets.decode(reply);
  expect((decoded.flags ?? 0) & packets.TRUNCATED_RESPONSE).not.toBe(0);
  expect(decoded.answers).toEqual([]);
});

test("nonsense gets a format error or nothing, and the server goes on", async () => {
  const nonsense = Buffer.concat([Buffer.from([0, 9, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), Buffer.from([0x3f, 1])]);
  expect((await askUdp(nonsense)).readUInt8(3) & 0x0f).toBe(1);

  const socket = connect(server.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.end(Buffer.from([0, 3, 1, 2, 3]));
  socket.resume();
  await new Promise((resolve) => socket.once("close", resolve));

  expect(await resolver.resolve4("mx.example.test")).toEqual(["127.0.0.9"]);
});

test("a port that is taken is left to its owner and the next one is opened", async () => {
  const second = await startZoneServer({ host: "127.0.0.1", port: server.port });

  expect(second.port).toBeGreaterThan(server.port);
  await second.close();
});

function askUdp(query: Buffer): Promise<Buffer> {
  const socket = createSocket("udp4");
  return new Promise((resolve, reject) => {
    socket.once("error", reject);
    socket.once("message", (reply) => {
      socket.close();
      resolve(reply);
    });
    socket.send(query, server.port, "127.0.0.1");
  });
}
