import { createServer } from "node:net";
import { existsSync, renameSync, statSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import { adminSource, explanationOf, ID, messageOf, queueOf } from "../../test/support/adminAnswers.ts";
import { type TempFolder, tempFolder } from "../../test/support/tempFolder.ts";
import { silentLog } from "../kit/log.ts";
import { type AdminServer, type AdminSource, startAdminServer } from "./server.ts";

let folder: TempFolder;
const servers: AdminServer[] = [];
beforeEach(() => {
  folder = tempFolder();
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  folder[Symbol.dispose]();
});

async function started(changes: Partial<AdminSource> = {}, path = join(folder.path, "admin.sock")) {
  const server = await startAdminServer({ path, source: adminSource("mail-0", changes), log: silentLog });
  servers.push(server);
  return server;
}

function get(socketPath: string, path: string, method = "GET"): Promise<{ status: number; body: unknown }> {
  return new Promise((resolve, reject) => {
    const asking = request({ socketPath, path, method }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, body: JSON.parse(text) }));
    });
    asking.on("error", reject);
    asking.end();
  });
}

test("it tells the queue, a message, why it waits, and which ids begin alike", async () => {
  const { path } = await started();

  expect(await get(path, "/queue")).toEqual({ status: 200, body: queueOf("mail-0") });
  expect(await get(path, `/messages/${ID}`)).toEqual({ status: 200, body: messageOf("mail-0") });
  expect(await get(path, `/messages/${ID}/explain`)).toEqual({ status: 200, body: explanationOf("mail-0") });
  expect(await get(path, "/messages?prefix=01JD")).toEqual({
    status: 200,
    body: { pod: "mail-0", ids: [ID] },
  });
});

test("what it does not have or do it says so", async () => {
  const { path } = await started();

  expect(await get(path, "/messages/01XXXXXXXXXXXXXXXXXXXXXXXX")).toMatchObject({ status: 404 });
  for (const unknown of ["/", "/messages/", "/messages/..%2f..", `/messages/${ID}/other`, "/messages"]) {
    expect(await get(path, unknown)).toMatchObject({ status: 404, body: { error: "there is no such path" } });
  }
  expect(await get(path, "/queue", "POST")).toMatchObject({ status: 405 });
});

test("a source that fails is a 500 to the asker and no end of the relay", async () => {
  const { path } = await started({
    queue: () => {
      throw new Error("a fault");
    },
    explain: () => Promise.reject(new Error("another")),
  });

  expect(await get(path, "/queue")).toMatchObject({ status: 500 });
  expect(await get(path, `/messages/${ID}/explain`)).toMatchObject({ status: 500 });
  expect(await get(path, `/messages/${ID}`)).toMatchObject({ status: 200 });
});

test("only its owner may ask, and nothing stays behind when it is closed", async () => {
  const server = await started();
  expect(statSync(server.path).mode & 0o777).toBe(0o600);

  await server.close();
  expect(existsSync(server.path)).toBe(false);
});

test("a socket left by a killed relay is replaced", async () => {
  const path = join(folder.path, "admin.sock");
  const dead = createServer().listen(path);
  await new Promise((resolve) => dead.once("listening", resolve));
  // Closing removes the file, being killed does not: leave one under the name by hand.
  renameSync(path, `${path}.kept`);
  await new Promise((resolve) => dead.close(resolve));
  renameSync(`${path}.kept`, path);

  const server = await started({}, path);

  expect(await get(server.path, "/queue")).toMatchObject({ status: 200 });
});

test("a socket in use and a file that is no socket are left alone, and named", async () => {
  const first = await started();
  await expect(started({}, first.path)).rejects.toThrow(/another process answers there/);
  expect(await get(first.path, "/queue")).toMatchObject({ status: 200 });

  const file = join(folder.path, "file");
  writeFileSync(file, "precious");
  await expect(started({}, file)).rejects.toThrow(/a file that is no socket stands there/);
});

test("a path too long for a socket is refused with its length and the way out", async () => {
  const long = join(folder.path, "x".repeat(120));

  await expect(started({}, long)).rejects.toThrow(/the path has \d+ bytes.*SMTP_RELAY_ADMIN_SOCKET/);
});

test("a folder that cannot be made is named with the fact", async () => {
  const file = join(folder.path, "file");
  writeFileSync(file, "");

  await expect(started({}, join(file, "admin.sock"))).rejects.toThrow(
    /Cannot open the admin socket .*file\/admin\.sock: (EEXIST|ENOTDIR)/,
  );
});
