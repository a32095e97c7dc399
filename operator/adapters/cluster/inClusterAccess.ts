/**
 * Access from inside a pod: the address from the environment, token and authority from the mounted
 * ServiceAccount. Three files and two variables; read here rather than by @kubernetes/client-node, whose
 * import costs some 85 MB of memory that the operator's pod does not have to spare.
 */
import { readFile } from "node:fs/promises";
import { isIPv6 } from "node:net";
import { join } from "node:path";

import type { ApiAccess } from "./access.ts";

export const SERVICE_ACCOUNT_FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount";

type Variables = Readonly<Record<string, string | undefined>>;

/** Whether the variables are those of a pod. */
export function insideCluster(variables: Variables): boolean {
  return Boolean(variables["KUBERNETES_SERVICE_HOST"]) && Boolean(variables["KUBERNETES_SERVICE_PORT"]);
}

/** Throws outside a pod; files are first read when credentials are asked for. */
export function inClusterAccess(variables: Variables, folder = SERVICE_ACCOUNT_FOLDER): ApiAccess {
  const host = variables["KUBERNETES_SERVICE_HOST"] ?? "";
  const port = variables["KUBERNETES_SERVICE_PORT"] ?? "";
  if (!insideCluster(variables)) {
    throw new Error(
      "Cannot find the API server: not in a pod (KUBERNETES_SERVICE_HOST is not set), and no kubeconfig was given",
    );
  }
  return {
    server: new URL(`https://${isIPv6(host) ? `[${host}]` : host}:${port}`),
    async credentials() {
      // The kubelet swaps the folder's content as a whole, well before a token expires.
      const [token, ca] = await Promise.all([
        readFile(join(folder, "token"), "utf8"),
        readFile(join(folder, "ca.crt")),
      ]);
      return { headers: { authorization: `Bearer ${token.trim()}` }, tls: { ca } };
    },
    refused() {},
  };
}

/** The namespace of the pod; null when it cannot be told. */
export async function podNamespace(folder = SERVICE_ACCOUNT_FOLDER): Promise<string | null> {
  try {
    return (await readFile(join(folder, "namespace"), "utf8")).trim() || null;
  } catch {
    return null;
  }
}
