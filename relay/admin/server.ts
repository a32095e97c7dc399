/**
 * The admin socket: what waits and why, for the person on the machine (routes in contract/admin.ts).
 *
 * HTTP over a unix socket of mode 0600: who may read the spool may ask, nobody else. It answers and
 * changes nothing. A socket file left by a killed relay is replaced; one that is in use is not.
 */
import { chmod, lstat, mkdir, unlink } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server } from "node:http";
import { connect } from "node:net";
import { dirname } from "node:path";

import {
  adminPaths,
  type Explanation,
  MOST_IDS,
  type MessageIds,
  type MessageListing,
  type QueueListing,
  type SetAside,
  type Unreadable,
} from "../contract/admin.ts";
import type { Log } from "../kit/log.ts";

/** What the socket tells; the engine knows it. */
export interface AdminSource {
  /** Name of this pod. */
  readonly pod: string;
  queue(): Promise<QueueListing> | QueueListing;
  /** Null when it is not, or no longer, queued. */
  message(id: string): Told<MessageListing>;
  explain(id: string): Told<Explanation>;
  /** Ids of messages, queued or set aside, that begin with `prefix`, at most `most`. */
  find(prefix: string, most: number): readonly string[];
}

type Answered<View> = View | SetAside | Unreadable | null;
type Told<View> = Promise<Answered<View>> | Answered<View>;

export interface AdminServer {
  readonly path: string;
  /** Closes and removes the socket. Never rejects. */
  close(): Promise<void>;
}

/** sun_path holds 108 bytes on Linux and 104 elsewhere, the final NUL among them. */
const LONGEST_PATH_BYTES = process.platform === "linux" ? 107 : 103;

/** Rejects when the socket cannot be opened; the message names path, fact and way out. */
export async function startAdminServer(options: {
  readonly path: string;
  readonly source: AdminSource;
  readonly log: Log;
}): Promise<AdminServer> {
  const { path, source, log } = options;
  const bytes = Buffer.byteLength(path);
  if (bytes > LONGEST_PATH_BYTES) {
    throw new Error(
      `Cannot open the admin socket ${path}: the path has ${bytes} bytes, a unix socket's may have ${LONGEST_PATH_BYTES}. ` +
        "Set SMTP_RELAY_ADMIN_SOCKET to a shorter path.",
    );
  }
  await mkdir(dirname(path), { recursive: true }).catch((cause: unknown) => {
    throw cannotOpen(path, cause);
  });
  await removeStale(path);
  const server = createServer((request, response) => {
    void respond(source, request, log).then(({ status, text }) =>
      response.writeHead(status, { "content-type": "application/json" }).end(text),
    );
  });
  // Whoever hangs must not hold a socket for ever.
  server.requestTimeout = 10_000;
  server.headersTimeout = 5_000;
  server.keepAliveTimeout = 1_000;
  await listening(server, path);
  return {
    path,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Never rejects: what goes wrong is logged, and the asker told where to look. */
async function respond(
  source: AdminSource,
  request: IncomingMessage,
  log: Log,
): Promise<{ readonly status: number; readonly text: string }> {
  try {
    const { status, body } = await answer(source, request);
    return { status, text: JSON.stringify(body) };
  } catch (error) {
    log.error("the admin socket could not answer", { path: request.url, error });
    return { status: 500, text: JSON.stringify({ error: "the relay could not answer; its log says why" }) };
  }
}

interface Answer {
  readonly status: number;
  readonly body: unknown;
}

async function answer(source: AdminSource, request: IncomingMessage): Promise<Answer> {
  if (request.method !== "GET") return { status: 405, body: { error: "only GET is answered here" } };
  const url = URL.parse(request.url ?? "/", "http://admin");
  if (url === null) return { status: 400, body: { error: "the request's path cannot be read" } };
  if (url.pathname === adminPaths.queue) return { status: 200, body: await source.queue() };
  const prefix = url.searchParams.get("prefix");
  if (url.pathname === "/messages" && prefix !== null) {
    const body: MessageIds = { pod: source.pod, ids: [...source.find(prefix, MOST_IDS)] };
    return { status: 200, body };
  }
  const [, id = "", view] = /^\/messages\/([0-9A-Za-z]{1,64})(\/explain)?$/.exec(url.pathname) ?? [];
  if (id === "") return { status: 404, body: { error: "there is no such path" } };
  const body = view === undefined ? await source.message(id) : await source.explain(id);
  return body === null
    ? { status: 404, body: { error: `no message ${id} is queued here` } }
    : { status: 200, body };
}

/** Removes a socket nobody listens on. Rejects when somebody does, or when it is no socket. */
async function removeStale(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null);
  if (found === null) return;
  if (!found.isSocket()) {
    throw new Error(
      `Cannot open the admin socket ${path}: a file that is no socket stands there. Move it away.`,
    );
  }
  const used = await new Promise<boolean>((resolve) => {
    const probe = connect(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
  if (used) {
    throw new Error(
      `Cannot open the admin socket ${path}: another process answers there. Is this relay running twice on one spool?`,
    );
  }
  await unlink(path);
}

async function listening(server: Server, path: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => reject(cannotOpen(path, cause)));
    server.listen(path, () => resolve());
  });
  await chmod(path, 0o600);
}

function cannotOpen(path: string, cause: unknown): Error {
  const { code, message } = cause as NodeJS.ErrnoException;
  return new Error(`Cannot open the admin socket ${path}: ${code ?? message}`, { cause });
}
