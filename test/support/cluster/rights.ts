/**
 * Rights on a real API server: the committed list (docs/reference/rights.md), what the server grants an
 * identity over every verb of every resource it serves, and what the audit log says was used.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { parse } from "yaml";

import type { KubeObject } from "../../../operator/adapters/kubeClient.ts";
import type { AuditEvent } from "./audit.ts";
import type { RawApi } from "./rawApi.ts";

/** "VERB GROUP/RESOURCE", with the name where the right is for one object: "get apps/statefulsets/mail". */
export type Right = string;

export interface CommittedRights {
  /** Where relays live. */
  readonly relays: readonly Right[];
  /** In the operator's own namespace. */
  readonly own: readonly Right[];
  /** Of both, those that something other than a call of the operator needs. */
  readonly neverCalled: readonly Right[];
}

const page = join(import.meta.dirname, "../../../docs/reference/rights.md");

/** The tables of the page. Throws when it has none. */
export function committedRights(): CommittedRights {
  const text = readFileSync(page, "utf8");
  const [where, own] = text.split("\n## ").slice(1);
  const rowsOf = (section: string | undefined) => {
    const lines = (section ?? "").split("\n").filter((line) => line.startsWith("| "));
    const rows = lines.slice(1).map((line) => line.split("|").map((cell) => cell.trim()));
    if (rows.length === 0) throw new Error(`Cannot read the rights: ${page} has a section without a table`);
    return rows;
  };
  const right = (group = "", resource = "", verbs = "", name?: string) =>
    verbs.split(", ").map((verb) => `${verb} ${group}/${resource}${name === undefined ? "" : `/${name}`}`);
  const relays = rowsOf(where).map(([, group, resource, verbs, why = ""]) => ({
    rights: right(group, resource, verbs),
    called: !why.startsWith("never called"),
  }));
  return {
    relays: relays.flatMap(({ rights }) => rights),
    own: rowsOf(own).flatMap(([, group, resource, name, verbs]) => right(group, resource, verbs, name)),
    neverCalled: relays.flatMap(({ rights, called }) => (called ? [] : rights)),
  };
}

/** Where config/ puts the operator. */
export const operatorNamespace = "smtp-relay-operator";

/** Applies config/rbac: the operator's account and rights, in its namespace. */
export async function applyRights(api: RawApi): Promise<void> {
  await api.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name: operatorNamespace } });
  const folder = join(import.meta.dirname, "../../../config/rbac");
  for (const file of readdirSync(folder).filter((name) => name !== "kustomization.yaml"))
    await api.apply(parse(readFileSync(join(folder, file), "utf8")) as KubeObject);
}

/** A user as the server knows it. */
export interface Subject {
  readonly user: string;
  readonly groups: readonly string[];
}

export function serviceAccountSubject(namespace: string, name: string): Subject {
  return {
    user: `system:serviceaccount:${namespace}:${name}`,
    groups: ["system:serviceaccounts", `system:serviceaccounts:${namespace}`, "system:authenticated"],
  };
}

interface Resource {
  readonly group: string;
  readonly version: string;
  /** With the subresource: "pods/exec". */
  readonly resource: string;
}

/** Every resource the server serves, each once, and "*" of each group and of all. */
export async function servedResources(api: RawApi): Promise<readonly Resource[]> {
  const { groups } = (await api.request("GET", "/apis")).body as {
    groups: readonly { name: string; versions: readonly { groupVersion: string }[] }[];
  };
  const bases = [
    "/api/v1",
    ...groups.flatMap(({ versions }) => versions.map((one) => `/apis/${one.groupVersion}`)),
  ];
  const found = new Map<string, Resource>();
  for (const base of bases) {
    const [, , group = "", version = "v1"] = base.startsWith("/apis/") ? base.split("/") : ["", "", "", "v1"];
    const { resources = [] } = (await api.request("GET", base)).body as { resources?: { name: string }[] };
    for (const { name } of resources) {
      found.set(`${group}/${name}`, { group, version, resource: name });
      // Served nowhere, and asked for by admission all the same.
      const finalizers = `${name.split("/")[0]}/finalizers`;
      found.set(`${group}/${finalizers}`, { group, version, resource: finalizers });
    }
    // A rule with a star grants what is not served yet, too.
    found.set(`${group}/*`, { group, version, resource: "*" });
  }
  found.set("*/*", { group: "*", version: "*", resource: "*" });
  return [...found.values()];
}

/** Those of requests, and those that only the authorizer knows. */
const verbs = [
  ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"],
  ["bind", "escalate", "impersonate", "approve", "sign", "use", "*"],
].flat();

export interface Scope {
  /** Empty: everywhere at once. */
  readonly namespace: string;
  /** Of one object; absent: of any. */
  readonly name?: string;
}

const QUESTIONS_AT_A_TIME = 8;

/** What the server would let `subject` do in `scope`: one SubjectAccessReview a verb and resource. */
export async function allowed(
  api: RawApi,
  subject: Subject,
  scope: Scope,
  resources: readonly Resource[],
): Promise<readonly Right[]> {
  const questions = resources.flatMap((one) => verbs.map((verb) => ({ ...one, verb })));
  const granted: Right[] = [];
  const ask = async () => {
    for (let question = questions.pop(); question !== undefined; question = questions.pop()) {
      const { group, version, resource, verb } = question;
      const [plural, subresource] = resource.split("/");
      const attributes = { group, version, resource: plural, verb, ...scope };
      const spec = { ...subject, resourceAttributes: { ...attributes, ...(subresource && { subresource }) } };
      const body = { apiVersion: "authorization.k8s.io/v1", kind: "SubjectAccessReview", spec };
      const reply = await api.request("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", { body });
      const { status } = reply.body as { status?: { allowed: boolean } };
      if (status === undefined) throw new Error(`Cannot ask about ${verb} ${resource}: HTTP ${reply.code}`);
      if (!status.allowed) continue;
      const named = scope.name === undefined ? "" : `/${scope.name}`;
      granted.push(`${verb} ${group === "" ? "core" : group}/${resource}${named}`);
    }
  };
  await Promise.all(Array.from({ length: QUESTIONS_AT_A_TIME }, ask));
  return granted.toSorted();
}

/**
 * The rights a call used. An apply of what is not there yet is authorised twice, as a patch and as a create,
 * and stands in the log as a patch that was answered 201.
 */
export function usedRights({ verb, objectRef, responseStatus }: AuditEvent): readonly Right[] {
  if (objectRef === undefined) return [];
  const { apiGroup = "core", resource, subresource } = objectRef;
  const what = `${apiGroup}/${resource}${subresource === undefined ? "" : `/${subresource}`}`;
  const created = verb === "patch" && responseStatus?.code === 201;
  return [`${verb} ${what}`, ...(created ? [`create ${what}`] : [])];
}
