/**
 * Access by a kubeconfig, over @kubernetes/client-node: certificates, tokens, exec plug-ins, OpenID Connect,
 * impersonation and proxies are its part; its connections are not used (one per call, see transport.ts).
 */
import type { Agent, RequestOptions } from "node:https";

import type { ApiAccess } from "./access.ts";

export interface KubeConfigOptions {
  /** Default: what KUBECONFIG names, else ~/.kube/config. */
  readonly file?: string;
  /** Default: the current one. */
  readonly context?: string;
}

/** Rejects when the file, or what it names, is not there; the message names it. */
export async function kubeConfigAccess(options: KubeConfigOptions = {}): Promise<ApiAccess> {
  // Loaded only when asked for: the package costs some 85 MB of memory.
  const { KubeConfig } = await import("@kubernetes/client-node");
  const config = new KubeConfig();
  try {
    if (options.file === undefined) config.loadFromDefault();
    else config.loadFromFile(options.file);
  } catch (cause) {
    throw new Error(`Cannot read the kubeconfig ${options.file ?? "of this user"}: ${String(cause)}`, {
      cause,
    });
  }
  if (options.context !== undefined) {
    if (config.getContextObject(options.context) === null) {
      throw new Error(
        `Cannot use context ${JSON.stringify(options.context)}: the kubeconfig has ${names(config.getContexts())}`,
      );
    }
    config.setCurrentContext(options.context);
  }
  const cluster = config.getCurrentCluster();
  if (cluster === null) {
    throw new Error(
      `Cannot find the API server: context ${JSON.stringify(config.getCurrentContext())} of the kubeconfig names no cluster`,
    );
  }
  return {
    server: new URL(cluster.server),
    async credentials() {
      const wanted: RequestOptions = {};
      await config.applyToHTTPSOptions(wanted);
      const { ca, cert, key, servername, rejectUnauthorized, auth } = wanted;
      return {
        headers: {
          ...(typeof auth === "string" ? { authorization: `Basic ${base64(auth)}` } : {}),
          ...textHeaders(wanted.headers ?? {}),
        },
        tls: {
          ...(ca === undefined ? {} : { ca: ca as Buffer }),
          ...(cert === undefined ? {} : { cert: cert as Buffer }),
          ...(key === undefined ? {} : { key: key as Buffer }),
          ...(servername === undefined ? {} : { servername }),
          ...(rejectUnauthorized === undefined ? {} : { rejectUnauthorized }),
        },
        ...(cluster.proxyUrl === undefined ? {} : { agent: wanted.agent as Agent }),
      };
    },
    refused() {},
  };
}

/** A token file that ends in a newline is still a token; a header with one is refused. */
function textHeaders(headers: object): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers)
      .filter(([, value]) => value !== undefined && value !== null)
      .map(([name, value]) => [name.toLowerCase(), String(value).trim()]),
  );
}

function names(contexts: readonly { readonly name: string }[]): string {
  return contexts.map(({ name }) => JSON.stringify(name)).join(", ") || "none";
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
