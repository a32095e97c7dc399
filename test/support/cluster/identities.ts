/**
 * Who may talk to the throw-away API server: one line of its token file each, so that RBAC is tested with the
 * very names a cluster would know. Tokens are drawn anew for each cluster.
 */
import { randomBytes } from "node:crypto";

import { stringify } from "yaml";

/** The node of the throw-away cluster. */
export const NODE_NAME = "throw-away";

export const identityNames = [
  /** May do everything. */
  "admin",
  /** The operator's ServiceAccount, as the chart binds it. */
  "operator",
  /** A relay pod's ServiceAccount: bound to nothing. */
  "relay",
  /** Known, and allowed nothing. */
  "nobody",
  "controllerManager",
  "scheduler",
  "kubelet",
  "kubeProxy",
] as const;

export type IdentityName = (typeof identityNames)[number];

export interface Identity {
  readonly user: string;
  readonly groups: readonly string[];
  readonly token: string;
}

export type Identities = Readonly<Record<IdentityName, Identity>>;

export interface ServiceAccountNames {
  readonly namespace: string;
  readonly name: string;
}

/** `operator` and `relay` say which ServiceAccounts the identities of these names stand for. */
export function makeIdentities(operator: ServiceAccountNames, relay: ServiceAccountNames): Identities {
  return {
    admin: identity("admin", ["system:masters"]),
    operator: serviceAccount(operator),
    relay: serviceAccount(relay),
    nobody: identity("nobody", []),
    // Names that Kubernetes' own bootstrap roles are bound to.
    controllerManager: identity("system:kube-controller-manager", []),
    scheduler: identity("system:kube-scheduler", []),
    kubelet: identity(`system:node:${NODE_NAME}`, ["system:nodes"]),
    kubeProxy: identity("system:kube-proxy", []),
  };
}

/** The content of --token-auth-file: token, user, uid, "groups". */
export function tokenFile(identities: Identities): string {
  return Object.values(identities)
    .map(({ token, user, groups }, index) => `${token},${user},uid-${index},"${groups.join(",")}"\n`)
    .join("");
}

/** A kubeconfig with everything inside it. */
export function kubeconfigText(server: string, ca: string, { user, token }: Identity): string {
  return stringify({
    apiVersion: "v1",
    kind: "Config",
    clusters: [
      {
        name: "throw-away",
        cluster: { server, "certificate-authority-data": Buffer.from(ca).toString("base64") },
      },
    ],
    users: [{ name: user, user: { token } }],
    contexts: [{ name: "throw-away", context: { cluster: "throw-away", user } }],
    "current-context": "throw-away",
  });
}

function identity(user: string, groups: readonly string[]): Identity {
  return { user, groups, token: randomBytes(24).toString("hex") };
}

function serviceAccount({ namespace, name }: ServiceAccountNames): Identity {
  const user = `system:serviceaccount:${namespace}:${name}`;
  return identity(user, ["system:serviceaccounts", `system:serviceaccounts:${namespace}`]);
}
