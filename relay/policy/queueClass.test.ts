import { expect, test } from "vitest";

import type { RelayConfig } from "../contract/config.ts";
import { classify, classOf, queueClasses } from "./queueClass.ts";

const queue: RelayConfig["queue"] = {
  expireAfterSeconds: 432_000,
  retry: { firstDelaySeconds: 300, longestDelaySeconds: 14_400 },
  classes: [
    { name: "codes", priority: "High", expireAfterSeconds: 3600 },
    { name: "bulk", priority: "Low", retry: { firstDelaySeconds: 900, longestDelaySeconds: 28_800 } },
  ],
};
const classes = queueClasses(queue);
const named = (field: string | null, credentialClass?: string) => {
  const found = classify(classes, field, credentialClass);
  return found.kind === "classified" ? found.queueClass.name : found.kind;
};

test("what a class leaves out is the queue's, and default is always there", () => {
  expect([...classes.keys()]).toEqual(["default", "codes", "bulk"]);
  expect(classOf(classes, "codes")).toEqual({ ...queue.classes?.[0], retry: queue.retry });
  expect(classOf(classes, "bulk").expireAfterSeconds).toBe(432_000);
  expect(classOf(classes, undefined)).toEqual({
    name: "default",
    priority: "Normal",
    expireAfterSeconds: 432_000,
    retry: queue.retry,
  });
});

test("default can be given another priority", () => {
  const own = queueClasses({ ...queue, classes: [{ name: "default", priority: "Low" }] });
  expect(classOf(own, undefined).priority).toBe("Low");
});

test("mail in a class that the configuration no longer has is treated as default", () => {
  expect(classOf(classes, "gone").name).toBe("default");
});

test("the header field decides, then the credential, then default", () => {
  expect(named("bulk")).toBe("bulk");
  expect(named("Bulk")).toBe("bulk");
  expect(named("bulk", "codes")).toBe("bulk");
  expect(named(null, "bulk")).toBe("bulk");
  expect(named(null)).toBe("default");
});

test("a credential with a class can lower its mail and not raise it; one without may name any", () => {
  expect(named("codes", "bulk")).toBe("above");
  expect(named("default", "bulk")).toBe("above");
  expect(named("default", "codes")).toBe("default");
  expect(named("codes")).toBe("codes");
});

test("a name that is no class is told with those that are", () => {
  expect(classify(classes, "bulkk", undefined)).toEqual({
    kind: "unknown",
    named: "bulkk",
    known: ["default", "codes", "bulk"],
  });
  expect(named("")).toBe("unknown");
});
