/** Objects as other versions of the definitions let them be stored. */
import { beforeEach, expect, test } from "vitest";

import { aDomain } from "../../test/support/builders.ts";
import { createLog } from "../../relay/kit/log.ts";
import { FakeClock } from "../../test/support/fakeClock.ts";
import type { KubeObject } from "../adapters/kubeClient.ts";
import { domainShape } from "./typed.ts";

let lines: string[];
const log = createLog({
  clock: new FakeClock(),
  level: "info",
  privacy: () => "Hashed",
  write: (line) => lines.push(line),
});
beforeEach(() => {
  lines = [];
});

function stored(spec: object, uid = "1"): KubeObject {
  const { apiVersion, kind, metadata, spec: usual } = aDomain();
  return { apiVersion, kind, metadata: { ...metadata, uid }, spec: { ...usual, ...spec } };
}

test("fields that are not known here are named and left out, however deep", () => {
  const object = stored({ novelty: "x", dkim: { rotationDays: 90, novelty: { deep: true } } });
  const read = domainShape(log)(object, undefined);

  expect(read?.spec).toEqual({ ...aDomain().spec, dkim: { ...aDomain().spec.dkim, rotationDays: 90 } });
  expect(lines.join("")).toMatch(/spec\.novelty.*spec\.dkim\.novelty|spec\.dkim\.novelty.*spec\.novelty/);
  // It stays as it is in the cluster.
  expect(object["spec"]).toHaveProperty("novelty");
});

test("a value that is not allowed is not guessed at: the last reading stays, or there is none", () => {
  const shape = domainShape(log);
  const good = stored({ dkim: { rotationDays: 90 } });
  const bad = stored({ dkim: { rotationDays: 1 }, novelty: "x" });
  const value = shape(good, undefined);

  expect(shape(bad, undefined)).toBeNull();
  expect(shape(bad, { key: "k", object: good, value })?.spec).toEqual(value?.spec);
  expect(shape(stored({ dkim: { rotationDays: 1 } }, "2"), { key: "k", object: good, value })).toBeNull();
  expect(lines.join("")).toContain("spec.dkim.rotationDays");
});
