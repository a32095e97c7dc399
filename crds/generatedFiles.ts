/** What generate.ts writes, as text by path from the root of the repository. Pure. */
import { stringify } from "yaml";

import { customResourceDefinition } from "./customResourceDefinition.ts";
import { GENERATED_NOTICE } from "./generatedNotice.ts";
import { GROUP, type KindName, kinds } from "./group.ts";
import { referencePage } from "./referencePage.ts";

/**
 * `kubectl apply` keeps the whole object in an annotation, and all annotations together have 256 KiB; the
 * API server has to hold every CRD in memory.
 */
export const CRD_MAX_BYTES = 100_000;

const NOTICE = `# ${GENERATED_NOTICE}\n`;

export interface GeneratedFile {
  /** With forward slashes: "crds/generated/ippools.smtprelay.dev.yaml". */
  readonly path: string;
  readonly text: string;
}

/** Throws when a CRD is larger than CRD_MAX_BYTES or a schema is not as the API server needs it. */
export function generatedFiles(): GeneratedFile[] {
  const names = Object.keys(kinds) as KindName[];
  return names.flatMap((kind) => [
    { path: `crds/generated/${kinds[kind].plural}.${GROUP}.yaml`, text: crdYaml(kind) },
    { path: `docs/reference/${kinds[kind].singular}.md`, text: referencePage(kind) },
  ]);
}

function crdYaml(kind: KindName): string {
  const text =
    NOTICE + stringify(customResourceDefinition(kind), { lineWidth: 110, aliasDuplicateObjects: false });
  const bytes = Buffer.byteLength(text);
  if (bytes > CRD_MAX_BYTES) {
    throw new Error(
      `Cannot generate the CRD of ${kind}: it has ${bytes} bytes, at most ${CRD_MAX_BYTES} are wanted.`,
    );
  }
  return text;
}
