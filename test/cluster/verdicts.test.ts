/**
 * The table of verdicts against a real API server: every manifest is accepted or refused there as the table
 * says, at the same field, for the same reason, in the words of the same rule; and local mode's judge says
 * what the server says.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { celRules } from "../../crds/celRules.ts";
import { GROUP, kinds, VERSION } from "../../crds/group.ts";
import { judgeManifest } from "../../crds/judge.ts";
import type { KubeObject } from "../../operator/adapters/kubeClient.ts";
import type { Manifest } from "../contract/crds/manifests.ts";
import type { Verdict } from "../contract/crds/verdict.ts";
import { verdicts } from "../contract/crds/verdicts.ts";
import { type Refusal, refusals } from "../support/cluster/apiRefusal.ts";
import { type ApiServer, startApiServer } from "../support/cluster/apiServer.ts";
import { applyCrds, condition, generatedCrds } from "../support/cluster/crds.ts";
import { writeQuery } from "../support/cluster/rawApi.ts";

const query = writeQuery({ dryRun: true, strict: true });
const AT_ONCE = 8;

let server: ApiServer;
let established: readonly KubeObject[];
const answers = new Map<string, readonly Refusal[] | null | Error>();

beforeAll(async () => {
  server = await startApiServer();
  established = await applyCrds(server.admin);
  await makeNamespace("mail");
  const former = await storeFormerObjects();
  const waiting = [...verdicts];
  const ask = async () => {
    for (let row = waiting.pop(); row !== undefined; row = waiting.pop()) {
      answers.set(row.because, await answer(row, former).catch((error: unknown) => error as Error));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, ask));
}, 180_000);

afterAll(async () => await server[Symbol.asyncDispose]());

describe("the API server takes our definitions", () => {
  test.each(generatedCrds().map(({ metadata }) => metadata.name))(
    "%s is established without reserve",
    (name) => {
      const crd = established.find((one) => one.metadata.name === name);

      expect(crd && ["Established", "NamesAccepted"].map((type) => condition(crd, type))).toEqual([
        "True",
        "True",
      ]);
      expect(crd && condition(crd, "NonStructuralSchema")).toBeUndefined();
    },
  );
});

describe("the API server agrees with the table", () => {
  test.each(verdicts)("$because", ({ because, refused }) => {
    const said = answered(because);

    const agreed =
      refused === undefined
        ? said === null
        : said?.some(
            ({ kind, path, message }) =>
              kind === refused.as && path === refused.at && message.includes(refused.rule ?? ""),
          );
    expect({ agreed, said }).toEqual({ agreed: true, said });
  });
});

describe("the judge of local mode says what the API server says", () => {
  test.each(verdicts)("$because", ({ because, manifest, old }) => {
    const judgement = judgeManifest(manifest, old);

    const judged = judgement.ok ? [] : judgement.problems;
    const said = answered(because) ?? [];
    expect({ fields: fields(judged), rules: rules(judged) }).toEqual({
      fields: fields(said.filter((one) => !isDuplicateOfTooMany(one, said))),
      rules: rules(said),
    });
  });
});

/** Fields that are refused; how many reasons each has is a matter of taste. */
function fields(found: readonly { readonly path: string }[]): readonly string[] {
  return [...new Set(found.map(({ path }) => path))].sort();
}

/** Messages of our own rules, which both sides say in the same words. */
function rules(found: readonly { readonly message: string }[]): readonly string[] {
  return celRules
    .map(({ message }) => message)
    .filter((rule) => found.some(({ message }) => message.includes(rule)));
}

/** A list that is too long is not searched for doubles in local mode; the table makes long lists of one item. */
function isDuplicateOfTooMany({ kind, path }: Refusal, said: readonly Refusal[]): boolean {
  return (
    kind === "Duplicate" && said.some((one) => one.kind === "TooMany" && path.startsWith(`${one.path}[`))
  );
}

function answered(because: string): readonly Refusal[] | null {
  const said = answers.get(because);
  if (said === undefined || said instanceof Error) throw said ?? new Error("The server was not asked.");
  return said;
}

/** A dry run of the row: creation, or an update of the object in force. */
async function answer(row: Verdict, former: ReadonlyMap<string, KubeObject>) {
  const collection = (namespace: string) =>
    `/apis/${GROUP}/${VERSION}/namespaces/${namespace}/${kinds[row.kind].plural}`;
  if (row.old === undefined) {
    return refusals(await server.admin.request("POST", collection("mail"), { body: row.manifest, query }));
  }
  const stored = former.get(JSON.stringify(row.old));
  if (stored === undefined) throw new Error("The object in force was not stored.");
  const { namespace = "", name, resourceVersion } = stored.metadata;
  const metadata = { ...(row.manifest["metadata"] as object), namespace, resourceVersion };
  return refusals(
    await server.admin.request("PUT", `${collection(namespace)}/${name}`, {
      body: { ...row.manifest, metadata },
      query,
    }),
  );
}

/** Each distinct object in force, in a namespace of its own; by its JSON. */
async function storeFormerObjects(): Promise<ReadonlyMap<string, KubeObject>> {
  const stored = new Map<string, KubeObject>();
  for (const { old } of verdicts) {
    if (old === undefined || stored.has(JSON.stringify(old))) continue;
    const namespace = `former-${stored.size}`;
    await makeNamespace(namespace);
    stored.set(JSON.stringify(old), await server.admin.apply(inNamespace(old, namespace)));
  }
  return stored;
}

async function makeNamespace(name: string): Promise<void> {
  await server.admin.apply({ apiVersion: "v1", kind: "Namespace", metadata: { name } });
}

function inNamespace(manifest: Manifest, namespace: string): KubeObject {
  const object = structuredClone(manifest) as unknown as KubeObject;
  object.metadata.namespace = namespace;
  return object;
}
