/**
 * config/: the chart's default output for people who apply with kustomize. Made from what `helm template`
 * prints, so that the two cannot differ; what only Helm needs (its labels, hooks, the CRDs, which config/crd
 * has) is taken out.
 */
import { parseAllDocuments, stringify } from "yaml";

import { CONFIG, type GeneratedFile, kustomization } from "./generatedFiles.ts";

/** Namespace and release the base is made for. */
export const RELEASE = "smtp-relay-operator";

interface Manifest {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly labels?: object; readonly annotations?: object };
}

/** Folder of each kind; anything else the chart makes by default has to be added here on purpose. */
const folders: Readonly<Record<string, "rbac" | "operator">> = {
  ServiceAccount: "rbac",
  ClusterRole: "rbac",
  ClusterRoleBinding: "rbac",
  Role: "rbac",
  RoleBinding: "rbac",
  Deployment: "operator",
  Service: "operator",
};

/** `rendered`: the output of `helm template` with default values. */
export function kustomizeBase(rendered: string): readonly GeneratedFile[] {
  const files: { readonly folder: string; readonly name: string; readonly text: string }[] = [];
  for (const manifest of manifestsOf(rendered)) {
    const { kind, metadata } = manifest;
    if (kind === "CustomResourceDefinition" || isHook(manifest)) continue;
    const folder = folders[kind];
    if (folder === undefined) throw new Error(`Cannot place a ${kind} in ${CONFIG}: name its folder`);
    const short = metadata.name.replace(RELEASE, "").replace(/^-/, "");
    const name = `${[short, kind.toLowerCase()].filter((part) => part !== "").join("-")}.yaml`;
    files.push({ folder, name, text: stringify(withoutHelm(manifest), { lineWidth: 110 }) });
  }
  const namespace = stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: RELEASE } });
  return [
    ...files.map(({ folder, name, text }) => ({ path: `${CONFIG}/${folder}/${name}`, text })),
    ...["rbac", "operator"].map((folder) => ({
      path: `${CONFIG}/${folder}/kustomization.yaml`,
      text: kustomization(files.filter((file) => file.folder === folder).map(({ name }) => name)),
    })),
    { path: `${CONFIG}/namespace.yaml`, text: namespace },
    {
      path: `${CONFIG}/kustomization.yaml`,
      text: kustomization(["namespace.yaml", "crd", "rbac", "operator"], RELEASE),
    },
  ];
}

export function manifestsOf(rendered: string): readonly Manifest[] {
  return parseAllDocuments(rendered)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

export function isHook({ metadata }: Manifest): boolean {
  return "helm.sh/hook" in (metadata.annotations ?? {});
}

/** A copy without the labels that name Helm and its release. */
export function withoutHelm(manifest: Manifest): object {
  const { labels = {}, ...metadata } = manifest.metadata;
  const kept = Object.entries(labels).filter(
    ([key]) => key !== "helm.sh/chart" && key !== "app.kubernetes.io/managed-by",
  );
  return { ...manifest, metadata: { ...metadata, labels: Object.fromEntries(kept) } };
}
