/**
 * The HTTP face of a Kubernetes API server over any KubeClient (the in-memory cluster, mostly), with the
 * faults a real one and the network before it have: refusals with Retry-After, resets before and after the
 * work is done, silence, cut streams, garbage and half lines.
 *
 *   const server = await startFakeApiServer(cluster);
 *   server.fault({ kind: "status", status: 429, retryAfterSeconds: 1 }, { times: 2, method: "PATCH" });
 *
 * It checks what a real one checks of the requests that we send: content type, field manager, strictness.
 */
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttpsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";

import {
  type ApplyObject,
  type KubeClient,
  KubeError,
  type ResourceType,
  type WatchEvent,
} from "../../operator/adapters/kubeClient.ts";

export type ApiFault =
  | {
      readonly kind: "status";
      readonly status: number;
      readonly reason?: string;
      readonly retryAfterSeconds?: number;
    }
  /** The connection breaks; with `after`, when the work is done. */
  | { readonly kind: "reset"; readonly after?: boolean }
  /** Nothing is ever answered. */
  | { readonly kind: "silence" }
  /** This body with status 200, whatever was asked; as JSON when no type is said. */
  | {
      readonly kind: "garbage";
      readonly body: string | Uint8Array;
      readonly type?: string;
      readonly encoding?: string;
    }
  /** The first half of the answer, then the connection breaks. */
  | { readonly kind: "half" };

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly authorization: string | undefined;
  readonly accept: string | undefined;
  readonly encoding: string | undefined;
  readonly body: unknown;
}

export interface FakeApiServerOptions {
  readonly tls?: { readonly key: string; readonly cert: string; readonly ca?: string };
  /** Judges the Authorization header; others hear 401. */
  readonly authorize?: (header: string | undefined) => boolean;
}

interface Rule {
  readonly fault: ApiFault;
  readonly method: string | undefined;
  readonly watch: boolean | undefined;
  left: number;
}

export class FakeApiServer {
  readonly requests: SeenRequest[] = [];
  /** Connections accepted so far. */
  connections = 0;
  readonly #client: KubeClient;
  readonly #options: FakeApiServerOptions;
  readonly #types: readonly ResourceType[];
  readonly #rules: Rule[] = [];
  readonly #watches = new Set<ServerResponse>();
  readonly #sockets = new Set<Socket>();
  readonly #server;

  constructor(client: KubeClient, types: readonly ResourceType[], options: FakeApiServerOptions) {
    this.#client = client;
    this.#types = types;
    this.#options = options;
    const answer = (request: IncomingMessage, response: ServerResponse) => {
      this.#answer(request, response).catch((error: unknown) => {
        if (!response.headersSent) sendError(response, error, null);
        else response.destroy();
      });
    };
    this.#server =
      options.tls === undefined
        ? createHttpServer(answer)
        : createHttpsServer(
            { ...options.tls, ...(options.tls.ca === undefined ? {} : { requestCert: true }) },
            answer,
          );
    this.#server.on(options.tls === undefined ? "connection" : "secureConnection", (socket: Socket) => {
      this.connections += 1;
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => {});
    });
  }

  async listen(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", () => resolve()));
  }

  get url(): URL {
    const { port } = this.#server.address() as AddressInfo;
    return new URL(
      `${this.#options.tls === undefined ? "http" : "https"}://${this.#options.tls === undefined ? "127.0.0.1" : "localhost"}:${port}`,
    );
  }

  /** Open watches. */
  get watches(): number {
    return this.#watches.size;
  }

  get openConnections(): number {
    return this.#sockets.size;
  }

  fault(
    fault: ApiFault,
    when: { readonly times?: number; readonly method?: string; readonly watch?: boolean } = {},
  ): void {
    this.#rules.push({
      fault,
      method: when.method,
      watch: when.watch,
      left: when.times ?? Number.POSITIVE_INFINITY,
    });
  }

  heal(): void {
    this.#rules.length = 0;
  }

  /** Sends these bytes on every open watch. */
  sayOnWatches(text: string): void {
    for (const watch of this.#watches) watch.write(text);
  }

  /** The server's own end of every watch. */
  endWatches(): void {
    for (const watch of this.#watches) watch.end();
  }

  /** Breaks the connections of every watch. */
  cutWatches(): void {
    for (const watch of this.#watches) watch.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://fake");
    const query = Object.fromEntries(url.searchParams);
    const text = await readText(request);
    const seen: SeenRequest = {
      method: request.method ?? "",
      path: url.pathname,
      query,
      authorization: request.headers.authorization,
      accept: request.headers.accept,
      encoding: request.headers["accept-encoding"]?.toString(),
      body: text === "" ? null : (JSON.parse(text) as unknown),
    };
    this.requests.push(seen);
    if (this.#options.authorize?.(request.headers.authorization) === false) {
      sendStatus(response, 401, "Unauthorized", "Unauthorized");
      return;
    }
    const fault = this.#take(seen);
    switch (fault?.kind) {
      case "silence":
        return;
      case "status":
        sendStatus(
          response,
          fault.status,
          fault.reason ?? "",
          `a fault of ${fault.status}`,
          fault.retryAfterSeconds,
        );
        return;
      case "garbage":
        response
          .writeHead(200, {
            "content-type": fault.type ?? "application/json",
            ...(fault.encoding === undefined ? {} : { "content-encoding": fault.encoding }),
          })
          .end(fault.body);
        return;
      case "reset":
        if (fault.after === true) await this.#serve(seen, request, response, true);
        request.socket.destroy();
        return;
      case "half":
        response.writeHead(200, { "content-type": "application/json", "content-length": 1000 });
        response.write('{"kind":"Secret","meta', () => request.socket.destroy());
        return;
      case undefined:
        await this.#serve(seen, request, response, false);
    }
  }

  /** `mute`: does the work and says nothing. */
  async #serve(
    seen: SeenRequest,
    request: IncomingMessage,
    response: ServerResponse,
    mute: boolean,
  ): Promise<void> {
    const target = parsePath(seen.path);
    const type = this.#types.find(
      (each) => each.apiVersion === target?.apiVersion && each.plural === target.plural,
    );
    if (target === null || type === undefined) {
      response.writeHead(404, { "content-type": "text/plain" }).end("404 page not found\n");
      return;
    }
    const { namespace, name } = target;
    let value: unknown;
    try {
      if (seen.query["watch"] !== undefined) {
        await this.#watch(type, namespace, seen.query, response);
        return;
      }
      value = await this.#call(seen, request, type, namespace, name, target.subresource);
    } catch (error) {
      if (!mute) sendError(response, error, name ?? null);
      return;
    }
    if (mute) return;
    if (value === null || value === false) {
      sendError(response, new KubeError("NotFound", 404, `${type.plural} "${name}" not found`), name ?? null);
    } else {
      response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(value));
    }
  }

  async #call(
    seen: SeenRequest,
    request: IncomingMessage,
    type: ResourceType,
    namespace: string | undefined,
    name: string | undefined,
    subresource: string | undefined,
  ): Promise<unknown> {
    const labels = parseSelector(seen.query["labelSelector"]);
    switch (seen.method) {
      case "GET": {
        if (name !== undefined && namespace !== undefined) return this.#client.get(type, { namespace, name });
        const { limit, continue: continueToken, fieldSelector } = seen.query;
        const only = fieldSelector === undefined ? undefined : nameSelected(fieldSelector);
        const page = await this.#client.list(type, {
          ...(namespace === undefined ? {} : { namespace }),
          ...(labels === undefined ? {} : { labels }),
          ...(only === undefined ? {} : { name: only }),
          ...(limit === undefined ? {} : { limit: Number(limit) }),
          ...(continueToken === undefined ? {} : { continueToken }),
        });
        return {
          kind: `${type.kind}List`,
          apiVersion: type.apiVersion,
          metadata: { resourceVersion: page.resourceVersion, continue: page.continueToken },
          // As a real one does it for kinds that are built in.
          items: page.items.map(({ apiVersion: _apiVersion, kind: _kind, ...item }) => item),
        };
      }
      case "PATCH": {
        const object = seen.body as ApplyObject;
        const { fieldManager, force, fieldValidation } = seen.query;
        const strict = fieldValidation === "Strict" && force === "true";
        if (request.headers["content-type"] !== "application/apply-patch+yaml" || !strict) {
          throw new KubeError("Invalid", 415, "the fake server only takes strict, forced applies");
        }
        if (fieldManager === undefined) throw new KubeError("Invalid", 400, "fieldManager is required");
        if (object.metadata.name !== name || object.metadata.namespace !== namespace) {
          throw new KubeError("Invalid", 400, "the name of the object does not match the name on the URL");
        }
        return subresource === "status"
          ? this.#client.applyStatus(object, fieldManager)
          : this.#client.apply(object, fieldManager);
      }
      case "DELETE": {
        const { preconditions } = seen.body as { preconditions?: { uid?: string; resourceVersion?: string } };
        const deleted = await this.#client.delete(
          type,
          { namespace: namespace ?? "", name: name ?? "" },
          preconditions,
        );
        return deleted && { kind: "Status", apiVersion: "v1", status: "Success" };
      }
      default:
        throw new KubeError("Invalid", 405, `${seen.method} is not served`);
    }
  }

  async #watch(
    type: ResourceType,
    namespace: string | undefined,
    query: SeenRequest["query"],
    response: ServerResponse,
  ): Promise<void> {
    const end = new AbortController();
    response.on("close", () => {
      this.#watches.delete(response);
      end.abort();
    });
    response.writeHead(200, { "content-type": "application/json", "transfer-encoding": "chunked" });
    response.flushHeaders();
    this.#watches.add(response);
    const labels = parseSelector(query["labelSelector"]);
    try {
      for await (const event of this.#client.watch(type, {
        resourceVersion: query["resourceVersion"] ?? "",
        signal: end.signal,
        ...(namespace === undefined ? {} : { namespace }),
        ...(labels === undefined ? {} : { labels }),
      })) {
        response.write(`${JSON.stringify(wireEvent(type, event))}\n`);
      }
      response.end();
    } catch (error) {
      const { reason, code, message } = error as KubeError;
      const status = {
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Failure",
        reason,
        code,
        message,
      };
      response.end(`${JSON.stringify({ type: "ERROR", object: status })}\n`);
    }
  }

  #take(seen: SeenRequest): ApiFault | undefined {
    const rule = this.#rules.find(
      ({ left, method, watch }) =>
        left > 0 &&
        (method === undefined || method === seen.method) &&
        (watch === undefined || watch === (seen.query["watch"] !== undefined)),
    );
    if (rule !== undefined) rule.left -= 1;
    return rule?.fault;
  }
}

/** `types`: what is served. */
export async function startFakeApiServer(
  client: KubeClient,
  types: readonly ResourceType[],
  options: FakeApiServerOptions = {},
): Promise<FakeApiServer> {
  const server = new FakeApiServer(client, types, options);
  await server.listen();
  return server;
}

function wireEvent(type: ResourceType, event: WatchEvent): unknown {
  if (event.type !== "BOOKMARK") return event;
  const { apiVersion, kind } = type;
  return {
    type: "BOOKMARK",
    object: { apiVersion, kind, metadata: { resourceVersion: event.resourceVersion } },
  };
}

function parsePath(path: string) {
  const match =
    /^\/(?:api|apis\/(?<group>[^/]+))\/(?<version>[^/]+)(?:\/namespaces\/(?<namespace>[^/]+))?\/(?<plural>[^/]+)(?:\/(?<name>[^/]+))?(?:\/(?<subresource>[^/]+))?$/.exec(
      path,
    );
  if (match?.groups === undefined) return null;
  const { group, version = "", namespace, plural = "", name, subresource } = match.groups;
  const decoded = (text: string | undefined) => (text === undefined ? undefined : decodeURIComponent(text));
  return {
    apiVersion: group === undefined ? version : `${group}/${version}`,
    plural,
    namespace: decoded(namespace),
    name: decoded(name),
    subresource,
  };
}

function parseSelector(selector: string | undefined): Record<string, string> | undefined {
  if (selector === undefined) return undefined;
  return Object.fromEntries(selector.split(",").map((term) => term.split("=") as [string, string]));
}

function nameSelected(selector: string): string {
  const [field, name] = selector.split("=");
  if (field === "metadata.name" && name !== undefined) return name;
  throw new KubeError("Invalid", 400, `the fake server does not select by ${selector}`);
}

function sendError(response: ServerResponse, error: unknown, name: string | null): void {
  if (!(error instanceof KubeError)) return sendStatus(response, 500, "InternalError", String(error));
  sendStatus(response, error.code, error.reason, error.message, undefined, name);
}

function sendStatus(
  response: ServerResponse,
  code: number,
  reason: string,
  message: string,
  retryAfterSeconds?: number,
  name: string | null = null,
): void {
  response
    .writeHead(code, {
      "content-type": "application/json",
      ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
    })
    .end(
      JSON.stringify({
        kind: "Status",
        apiVersion: "v1",
        metadata: {},
        status: "Failure",
        reason,
        message,
        code,
        details: name === null ? {} : { name },
      }),
    );
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
  return Buffer.concat(chunks).toString("utf8");
}
