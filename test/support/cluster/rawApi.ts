/**
 * The Kubernetes API by plain HTTPS, for tests: it looks at a cluster with other eyes than the operator's own
 * client. Replies are returned as they came; the helpers that expect success throw with what the server said.
 */
import { Agent, request } from "node:https";

import type { KubeObject } from "../../../operator/adapters/kubeClient.ts";

export interface Reply {
  readonly code: number;
  /** Parsed JSON, or text where the server sends text. */
  readonly body: unknown;
}

export interface RequestOptions {
  readonly body?: unknown;
  readonly contentType?: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly seconds?: number;
  /** Without the token. */
  readonly anonymous?: boolean;
}

export interface WriteOptions {
  /** Check everything, store nothing. */
  readonly dryRun?: boolean;
  /** Refuse unknown and doubled fields, as kubectl does. */
  readonly strict?: boolean;
  readonly subresource?: string;
  readonly fieldManager?: string;
}

/** Reads of one connection pool are answered in parallel; a bound keeps a small machine calm. */
const CONNECTIONS = 8;
const APPLY = "application/apply-patch+yaml";

interface ServedType {
  readonly plural: string;
  readonly namespaced: boolean;
}

export class RawApi implements Disposable {
  readonly #url: URL;
  readonly #token: string;
  readonly #agent: Agent;
  readonly #types = new Map<string, ServedType>();

  constructor(url: string, ca: string, token: string) {
    this.#url = new URL(url);
    this.#token = token;
    this.#agent = new Agent({ ca, keepAlive: true, maxSockets: CONNECTIONS });
  }

  /** One call; only a broken connection or silence throws. */
  async request(method: string, path: string, options: RequestOptions = {}): Promise<Reply> {
    const query = new URLSearchParams(options.query).toString();
    const sent = options.body === undefined ? undefined : JSON.stringify(options.body);
    return await new Promise((resolve, reject) => {
      const call = request(
        {
          method,
          host: this.#url.hostname,
          port: this.#url.port,
          path: query === "" ? path : `${path}?${query}`,
          agent: this.#agent,
          headers: {
            ...(options.anonymous !== true && { authorization: `Bearer ${this.#token}` }),
            ...(sent !== undefined && {
              "content-type": options.contentType ?? "application/json",
              "content-length": Buffer.byteLength(sent),
            }),
          },
          timeout: (options.seconds ?? 30) * 1000,
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on("data", (chunk: Buffer) => chunks.push(chunk));
          response.on("error", reject);
          response.on("end", () => {
            const text = Buffer.concat(chunks).toString("utf8");
            const json = response.headers["content-type"]?.includes("json") === true;
            resolve({ code: response.statusCode ?? 0, body: json ? (JSON.parse(text) as unknown) : text });
          });
        },
      );
      call.on("timeout", () => call.destroy(new Error(`${method} ${path}: the server is silent`)));
      call.on("error", reject);
      call.end(sent);
    });
  }

  /** Server-side apply, conflicts taken over. Throws with the server's words when it is refused. */
  async apply(object: KubeObject, options: WriteOptions = {}): Promise<KubeObject> {
    const path = await this.path(object, options.subresource);
    const query = { ...writeQuery(options), force: "true", fieldManager: options.fieldManager ?? "test" };
    return expected(
      await this.request("PATCH", path, { body: object, contentType: APPLY, query }),
      `apply ${named(object)}`,
    );
  }

  /** Null when it does not exist. */
  async get(apiVersion: string, kind: string, name: string, namespace?: string): Promise<KubeObject | null> {
    const path = await this.path({ apiVersion, kind, metadata: meta(name, namespace) });
    const reply = await this.request("GET", path);
    return reply.code === 404 ? null : expected(reply, `get ${kind} ${name}`);
  }

  /** All of a kind, in one namespace or everywhere. */
  async list(apiVersion: string, kind: string, namespace?: string): Promise<readonly KubeObject[]> {
    const reply = await this.request("GET", await this.collection(apiVersion, kind, namespace));
    return (expected(reply, `list ${kind}`) as unknown as { items: KubeObject[] }).items;
  }

  /** False when it was not there. */
  async delete(apiVersion: string, kind: string, name: string, namespace?: string): Promise<boolean> {
    const path = await this.path({ apiVersion, kind, metadata: meta(name, namespace) });
    const reply = await this.request("DELETE", path);
    if (reply.code === 404) return false;
    expected(reply, `delete ${kind} ${name}`);
    return true;
  }

  /** Path of one object. */
  async path(object: KubeObject, subresource?: string): Promise<string> {
    const { apiVersion, kind, metadata } = object;
    const collection = await this.collection(apiVersion, kind, metadata.namespace);
    return `${collection}/${metadata.name}${subresource === undefined ? "" : `/${subresource}`}`;
  }

  /** Path of all objects of a kind, in a namespace where it has namespaces. */
  async collection(apiVersion: string, kind: string, namespace?: string): Promise<string> {
    const base = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const { plural, namespaced } = await this.#served(base, kind);
    return namespaced && namespace !== undefined
      ? `${base}/namespaces/${namespace}/${plural}`
      : `${base}/${plural}`;
  }

  [Symbol.dispose](): void {
    this.#agent.destroy();
  }

  async #served(base: string, kind: string): Promise<ServedType> {
    const known = this.#types.get(`${base} ${kind}`);
    if (known !== undefined) return known;
    const reply = await this.request("GET", base);
    const { resources = [] } = (reply.code === 200 ? reply.body : {}) as {
      resources?: readonly { name: string; kind: string; namespaced: boolean }[];
    };
    const found = resources.find((one) => one.kind === kind && !one.name.includes("/"));
    if (found === undefined) throw new Error(`Cannot find ${kind}: the server does not serve it in ${base}.`);
    const type = { plural: found.name, namespaced: found.namespaced };
    this.#types.set(`${base} ${kind}`, type);
    return type;
  }
}

export function writeQuery({ dryRun, strict }: WriteOptions): Record<string, string> {
  return {
    ...(dryRun === true && { dryRun: "All" }),
    ...(strict === true && { fieldValidation: "Strict" }),
  };
}

function expected(reply: Reply, action: string): KubeObject {
  if (reply.code < 300) return reply.body as KubeObject;
  const { message } = reply.body as { message?: unknown };
  const said = typeof message === "string" ? message : JSON.stringify(reply.body);
  throw new Error(`Cannot ${action}: the server answers ${reply.code}: ${said}`);
}

function named({ kind, metadata }: KubeObject): string {
  return metadata.namespace === undefined
    ? `${kind} ${metadata.name}`
    : `${kind} ${metadata.namespace}/${metadata.name}`;
}

function meta(name: string, namespace?: string): KubeObject["metadata"] {
  return namespace === undefined ? { name } : { name, namespace };
}
