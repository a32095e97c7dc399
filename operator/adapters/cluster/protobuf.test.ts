/** Bytes of a real API server (Kubernetes 1.36), and what goes wrong with bytes on their way. */
import * as fc from "fast-check";
import { expect, test } from "vitest";

import { readVersions } from "./protobuf.ts";

/** The first of 10,000 SendingDomains with a status of ours, as `?limit=1` was answered. */
const page = Buffer.from(
  [
    "azhzAAorCg5tZXRhLms4cy5pby92MRIZUGFydGlhbE9iamVjdE1ldGFkYXRhTGlzdBKIDAppCgASBTMwNDQ5GltleUoySWpvaWJX",
    "VjBZUzVyT0hNdWFXOHZkakVpTENKeWRpSTZNekEwTkRrc0luTjBZWEowSWpvaUwzUmxibUZ1ZEMwd01EQXZjekF3TURBd1hIVXdN",
    "REF3SW4wII9OEpoLCpcLCgZzMDAwMDASABoKdGVuYW50LTAwMCIAKiQ5NjU0YjBmMi1lOThhLTQxYzUtODBmYS01YmJmMjBiNWE0",
    "YzEyBTIwNDM4OAFCCAi9l6fYBhAAigF3CgdrdWJlY3RsEgVBcHBseRoWc210cHJlbGF5LmRldi92MWFscGhhMSIICL2Xp9gGEAAy",
    "CEZpZWxkc1YxOjcKNXsiZjpzcGVjIjp7ImY6ZG9tYWluIjp7fSwiZjpyZWxheVJlZiI6eyJmOm5hbWUiOnt9fX19QgCKAcgJChBz",
    "bXRwcmVsYXktZG9tYWluEgVBcHBseRoWc210cHJlbGF5LmRldi92MWFscGhhMSIICNCXp9gGEAAyCEZpZWxkc1YxOvgICvUIeyJm",
    "OnN0YXR1cyI6eyJmOmNoZWNrZWRBdCI6e30sImY6Y29uZGl0aW9ucyI6eyJrOntcInR5cGVcIjpcIkRuc1ZlcmlmaWVkXCJ9Ijp7",
    "Ii4iOnt9LCJmOmxhc3RUcmFuc2l0aW9uVGltZSI6e30sImY6bWVzc2FnZSI6e30sImY6b2JzZXJ2ZWRHZW5lcmF0aW9uIjp7fSwi",
    "ZjpyZWFzb24iOnt9LCJmOnN0YXR1cyI6e30sImY6dHlwZSI6e319LCJrOntcInR5cGVcIjpcIktleXNJc3N1ZWRcIn0iOnsiLiI6",
    "e30sImY6bGFzdFRyYW5zaXRpb25UaW1lIjp7fSwiZjptZXNzYWdlIjp7fSwiZjpvYnNlcnZlZEdlbmVyYXRpb24iOnt9LCJmOnJl",
    "YXNvbiI6e30sImY6c3RhdHVzIjp7fSwiZjp0eXBlIjp7fX0sIms6e1widHlwZVwiOlwiUmVhZHlcIn0iOnsiLiI6e30sImY6bGFz",
    "dFRyYW5zaXRpb25UaW1lIjp7fSwiZjptZXNzYWdlIjp7fSwiZjpvYnNlcnZlZEdlbmVyYXRpb24iOnt9LCJmOnJlYXNvbiI6e30s",
    "ImY6c3RhdHVzIjp7fSwiZjp0eXBlIjp7fX0sIms6e1widHlwZVwiOlwiUmVjb25jaWxpbmdcIn0iOnsiLiI6e30sImY6bGFzdFRy",
    "YW5zaXRpb25UaW1lIjp7fSwiZjptZXNzYWdlIjp7fSwiZjpvYnNlcnZlZEdlbmVyYXRpb24iOnt9LCJmOnJlYXNvbiI6e30sImY6",
    "c3RhdHVzIjp7fSwiZjp0eXBlIjp7fX0sIms6e1widHlwZVwiOlwiU3RhbGxlZFwifSI6eyIuIjp7fSwiZjpsYXN0VHJhbnNpdGlv",
    "blRpbWUiOnt9LCJmOm1lc3NhZ2UiOnt9LCJmOm9ic2VydmVkR2VuZXJhdGlvbiI6e30sImY6cmVhc29uIjp7fSwiZjpzdGF0dXMi",
    "Ont9LCJmOnR5cGUiOnt9fX0sImY6ZGtpbSI6eyJmOmtleXMiOnsiazp7XCJzZWxlY3RvclwiOlwiZTI2MTFcIn0iOnsiLiI6e30s",
    "ImY6YWN0aXZhdGVkQXQiOnt9LCJmOmFsZ29yaXRobSI6e30sImY6Y3JlYXRlZEF0Ijp7fSwiZjpzZWxlY3RvciI6e30sImY6c3Rh",
    "dGUiOnt9fSwiazp7XCJzZWxlY3RvclwiOlwicjI2MTFcIn0iOnsiLiI6e30sImY6YWN0aXZhdGVkQXQiOnt9LCJmOmFsZ29yaXRo",
    "bSI6e30sImY6Y3JlYXRlZEF0Ijp7fSwiZjpzZWxlY3RvciI6e30sImY6c3RhdGUiOnt9fX0sImY6c2VjcmV0TmFtZSI6e319LCJm",
    "OmRucyI6e30sImY6bmV4dFJvdGF0aW9uIjp7fSwiZjpvYnNlcnZlZEdlbmVyYXRpb24iOnt9LCJmOnJlY29yZHMiOnt9LCJmOnNl",
    "bGVjdG9ycyI6e319fUIGc3RhdHVzGgAiAA==",
  ].join(""),
  "base64",
);
/** Of a namespace without any. */
const empty = Buffer.from(
  "azhzAAorCg5tZXRhLms4cy5pby92MRIZUGFydGlhbE9iamVjdE1ldGFkYXRhTGlzdBINCgsKABIFMzA0NTEaABoAIgA=",
  "base64",
);

test("a page of the API server says which objects there are, at which version, and how to go on", () => {
  expect(readVersions(page)).toEqual({
    items: [
      {
        namespace: "tenant-000",
        name: "s00000",
        uid: "9654b0f2-e98a-41c5-80fa-5bbf20b5a4c1",
        resourceVersion: "20438",
      },
    ],
    resourceVersion: "30449",
    continueToken:
      "eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6MzA0NDksInN0YXJ0IjoiL3RlbmFudC0wMDAvczAwMDAwXHUwMDAwIn0",
  });
});

test("a list without objects has a version all the same", () => {
  expect(readVersions(empty)).toEqual({ items: [], resourceVersion: "30451" });
});

test("what is cut anywhere is refused, not read as less than was sent", () => {
  // After the list come two empty fields of two bytes.
  for (let length = 0; length < page.length - 4; length++) {
    expect(() => readVersions(page.subarray(0, length)), `${length} bytes`).toThrow(Error);
  }
});

test("another kind, another beginning and an encoding are refused by name", () => {
  const other = Buffer.from(page);
  other.write("PartialObjectMetadataLust", other.indexOf("PartialObjectMetadataList"));

  expect(() => readVersions(other)).toThrow('it is a "PartialObjectMetadataLust"');
  expect(() => readVersions(Buffer.from('{"kind":"Status"}'))).toThrow(/does not begin/);
  expect(() =>
    readVersions(Buffer.concat([page, Buffer.from([0x1a, 0x04, ...Buffer.from("gzip")])])),
  ).toThrow('it is encoded as "gzip"');
});

test("fields that are not known are stepped over, whatever their type", () => {
  const later = Buffer.concat([
    page,
    // Field 15 as a number of ten bytes, as eight bytes, as text, as four bytes.
    Buffer.from([0x78, ...Array.from({ length: 9 }, () => 0xff), 0x01]),
    Buffer.from([0x79, 1, 2, 3, 4, 5, 6, 7, 8]),
    Buffer.from([0x7a, 2, 0x68, 0x69]),
    Buffer.from([0x7d, 1, 2, 3, 4]),
  ]);

  expect(readVersions(later)).toEqual(readVersions(page));
});

test("no bytes make it read for ever or fail without a word", () => {
  const outcome = (bytes: Uint8Array): string => {
    try {
      return `${readVersions(bytes).items.length} items`;
    } catch (error) {
      return (error as Error).message;
    }
  };
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(page.length), (noise, at) => {
      expect(outcome(Buffer.concat([page.subarray(0, at), noise, page.subarray(at)]))).not.toBe("");
    }),
  );
});
