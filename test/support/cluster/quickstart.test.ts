import { expect, test } from "vitest";

import { exampleObjects } from "./quickstart.ts";

test("the example is objects of a namespace, each changed where its kind is", () => {
  const plain = exampleObjects("mail");
  const changed = exampleObjects("mail", { SmtpRelay: { paused: true }, IpPool: { addresses: [] } });

  expect(
    plain.map(({ kind, metadata }) => `${kind} ${metadata.namespace}/${metadata.name}`).toSorted(),
  ).toEqual(["IpPool mail/default", "SendingDomain mail/example.test", "SmtpRelay mail/mail"]);
  for (const [at, object] of changed.entries()) {
    const more = { SmtpRelay: { paused: true }, IpPool: { addresses: [] } }[object.kind];
    expect(object).toEqual({ ...plain[at], spec: { ...plain[at]?.spec, ...more } });
  }
});
