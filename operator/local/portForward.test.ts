import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import type { AddressInfo } from "node:net";

import { afterEach, expect, test } from "vitest";

import { type Endpoint, type PortForward, startPortForward } from "./portForward.ts";

const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

/** A pod that greets with its name and says what it heard when the client has finished. */
async function pod(name: string, serve?: (socket: Socket) => void): Promise<Endpoint> {
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on("error", () => {});
    if (serve !== undefined) return serve(socket);
    socket.write(`${name}:`);
    socket.setEncoding("utf8");
    let heard = "";
    socket.on("data", (text: string) => (heard += text));
    socket.on("end", () => socket.end(heard));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  open.push(server);
  return { host: "127.0.0.1", port: (server.address() as AddressInfo).port };
}

async function forward(endpoints: () => readonly Endpoint[], ports = [0]): Promise<PortForward> {
  const started = await startPortForward({ host: "127.0.0.1", ports, endpoints });
  open.push({ close: () => started.destroy() });
  return started;
}

/** Sends `text`, ends its side, and resolves with all that came back. */
function talk(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", allowHalfOpen: true });
    let heard = "";
    socket.setEncoding("utf8");
    socket.on("error", reject);
    socket.on("data", (chunk: string) => (heard += chunk));
    socket.on("end", () => socket.destroy());
    socket.on("close", () => resolve(heard));
    socket.end(text);
  });
}

test("connections go to the ready pods in turn, and a half-closed one still gets its answer", async () => {
  const pods = [await pod("a"), await pod("b")];
  const { port } = await forward(() => pods);

  expect([await talk(port, "1"), await talk(port, "2"), await talk(port, "3")]).toEqual([
    "a:1",
    "b:2",
    "a:3",
  ]);
});

test("a pod that refuses is passed over", async () => {
  const gone = await pod("gone");
  open.pop()?.close();
  const alive = await pod("alive");
  const { port } = await forward(() => [gone, alive]);

  expect([await talk(port, "1"), await talk(port, "2")]).toEqual(["alive:1", "alive:2"]);
});

test("with no pod ready the client is told by a closed connection, and served once one is", async () => {
  let ready: Endpoint[] = [];
  const { port } = await forward(() => ready);
  expect(await talk(port, "1").catch((error: NodeJS.ErrnoException) => `failed ${error.code}`)).toMatch(
    /^(failed ECONNRESET|)$/,
  );

  ready = [await pod("a")];
  expect(await talk(port, "2")).toBe("a:2");
});

test("a pod that dies takes its client's connection along", async () => {
  const dying = await pod("dying", (socket) => {
    socket.once("data", () => socket.resetAndDestroy());
  });
  const { port } = await forward(() => [dying]);
  const socket = connect(port, "127.0.0.1");
  socket.write("hello");

  const [error] = (await once(socket, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNRESET");
});

test("a client that vanishes frees the pod's side", async () => {
  let ended: () => void = () => {};
  const freed = new Promise<void>((resolve) => (ended = resolve));
  const watching = await pod("watching", (socket) => {
    socket.write("hello");
    socket.resume();
    socket.once("close", () => ended());
  });
  const { port } = await forward(() => [watching]);
  const socket = connect(port, "127.0.0.1");
  await once(socket, "data");
  socket.resetAndDestroy();

  await expect(freed).resolves.toBeUndefined();
});

test("a port that is taken is passed over", async () => {
  const taken = await pod("taken");
  const { port } = await forward(() => [], [taken.port, 0]);

  expect(port).not.toBe(taken.port);
});

test("after it stopped accepting, the open connection goes on and new ones are refused", async () => {
  const one = await pod("one");
  const forwarded = await forward(() => [one]);
  const socket = connect({ port: forwarded.port, host: "127.0.0.1", allowHalfOpen: true });
  await once(socket, "data");

  await forwarded.stopAccepting();

  await expect(talk(forwarded.port, "new")).rejects.toThrow("ECONNREFUSED");
  socket.end("still here");
  const [rest] = (await once(socket, "data")) as [Buffer];
  expect(rest.toString()).toBe("still here");
  socket.destroy();
});
