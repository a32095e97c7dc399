import { describe, expect, test } from "vitest";

import { judgeManifest } from "./judge.ts";

const secret = { apiVersion: "v1", kind: "Secret", metadata: { name: "mail-tls" } };
const base64 = (text: string): string => Buffer.from(text).toString("base64");

function texts(manifest: unknown, old?: unknown): string[] {
  const judgement = judgeManifest(manifest, old);
  return judgement.ok ? [] : judgement.problems.map(({ text }) => text);
}

describe("a Secret among the manifests", () => {
  test("comes back as the API server stores it", () => {
    const manifest = {
      ...secret,
      data: {
        old: base64("one"),
        both: base64("two"),
        lines: `${base64("three").slice(0, 4)}\n${base64("three").slice(4)}\n`,
      },
      stringData: { both: "zwei", neu: "vier" },
    };

    expect(judgeManifest(manifest)).toEqual({
      ok: true,
      object: {
        ...secret,
        metadata: { name: "mail-tls", namespace: "default" },
        type: "Opaque",
        data: { old: base64("one"), both: base64("zwei"), neu: base64("vier"), lines: base64("three") },
      },
    });
  });

  test("of a type has what the type needs", () => {
    const tls = { ...secret, type: "kubernetes.io/tls", stringData: { "tls.crt": "x" } };

    expect(texts(tls)).toEqual(["data[tls.key]: Required value: a Secret of type kubernetes.io/tls has it"]);
    expect(texts({ ...tls, stringData: { "tls.crt": "x", "tls.key": "y" } })).toEqual([]);
  });

  test.each<[string, object, string]>([
    [
      "plain text under data",
      { data: { password: "hunter two" } },
      "data.password: Invalid value: must be base64",
    ],
    [
      "a number as password",
      { stringData: { password: 123_456 } },
      "stringData.password: Invalid value: must be a string",
    ],
    ["a key with a slash", { stringData: { "a/b": "x" } }, "stringData[a/b]: Invalid value"],
    ["a list of data", { data: ["x"] }, "data: Invalid value: must be an object of strings"],
    ["an unknown field", { stringdata: {} }, 'unknown field "stringdata"; did you mean "stringData"?'],
    ["more than a megabyte", { stringData: { big: "x".repeat(1_048_577) } }, "data: Too long: 1048577 bytes"],
    ["a word for a truth", { immutable: "yes" }, "immutable: Invalid value"],
  ])("is refused for %s", (_, content, expected) => {
    expect(texts({ ...secret, ...content }).join()).toContain(expected);
  });

  test("never shows a value in a refusal", () => {
    const found = texts({
      ...secret,
      data: { a: "hunter-two", b: 271_828, c: ["hunter-two"] },
      stringData: { a: { deep: "hunter-two" } },
    });

    expect(found).toHaveLength(4);
    expect(found.join()).not.toMatch(/hunter|271828/);
  });

  test("keeps its type, and its content when it is immutable", () => {
    const old = { ...secret, immutable: true, data: { a: base64("1") } };

    expect(texts({ ...secret, type: "kubernetes.io/basic-auth" }, old)).toEqual([
      'type: Invalid value: "kubernetes.io/basic-auth": field is immutable',
    ]);
    expect(texts({ ...secret, immutable: true, data: { a: base64("2") } }, old)[0]).toContain("Forbidden");
    expect(texts({ ...secret, immutable: true, stringData: { a: "1" } }, old)).toEqual([]);
  });
});
