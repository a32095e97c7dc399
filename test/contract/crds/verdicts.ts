/**
 * What the API accepts and refuses, as a table: one manifest a row, with the field a refusal names and the
 * kind of error. crds/judge.ts has to agree with it in local mode, and a real API server in a cluster.
 */
import type { KindName } from "../../../crds/group.ts";
import { boundVerdicts } from "./boundVerdicts.ts";
import { ruleVerdicts } from "./ruleVerdicts.ts";
import { changed, full, minimal } from "./manifests.ts";
import type { Verdict } from "./verdict.ts";

const kindNames: readonly KindName[] = ["SmtpRelay", "SendingDomain", "IpPool"];

const wholes: readonly Verdict[] = kindNames.flatMap((kind): Verdict[] => [
  { because: `the minimal ${kind} is accepted`, kind, manifest: minimal[kind] },
  { because: `a ${kind} that sets every field is accepted`, kind, manifest: full[kind] },
  {
    because: `a ${kind} that stays as it is may be applied again`,
    kind,
    manifest: full[kind],
    old: full[kind],
  },
  {
    because: `a ${kind} without spec is refused`,
    kind,
    manifest: changed(minimal[kind], "spec", undefined),
    refused: { at: "spec", as: "Required" },
  },
  {
    because: `a ${kind} with a misspelt group is refused`,
    kind,
    manifest: changed(minimal[kind], "spce", {}),
    refused: { at: "spce", as: "UnknownField" },
  },
]);

/** YAML writes `poolRef:` with nothing behind it as null. */
const nulls: readonly Verdict[] = [
  {
    because: "null for a field with a default means the default",
    kind: "SmtpRelay",
    manifest: changed(minimal.SmtpRelay, "spec.replicas", null),
  },
  {
    because: "null for a field without a default means that it is left out",
    kind: "SmtpRelay",
    manifest: changed(minimal.SmtpRelay, "spec.certificate", null),
  },
  {
    because: "null for a required field does not make it present",
    kind: "SmtpRelay",
    manifest: changed(minimal.SmtpRelay, "spec.hostname", null),
    refused: { at: "spec.hostname", as: "Required" },
  },
  {
    because: "null in a list is no item",
    kind: "IpPool",
    manifest: changed(minimal.IpPool, "spec.addresses[1]", null),
    refused: { at: "spec.addresses[1]", as: "TypeInvalid" },
  },
];

function hostname(because: string, value: string, accepted = false): Verdict {
  return {
    because,
    kind: "SmtpRelay",
    manifest: changed(minimal.SmtpRelay, "spec.hostname", value),
    ...(!accepted && { refused: { at: "spec.hostname", as: "Invalid" as const } }),
  };
}

const formats: readonly Verdict[] = [
  hostname("a host name may have hyphens, digits and A-labels", "mx-1.xn--bcher-kva.example", true),
  hostname("a host name of one label is refused", "localhost"),
  hostname("a host name in upper case is refused", "Mail.example.com"),
  hostname("a host name with a final dot is refused", "mail.example.com."),
  hostname("an IPv4 address is no host name", "192.0.2.10"),
  hostname("a host name with an underscore is refused", "mail_1.example.com"),
  hostname("a host name with a line end is refused", "mail.example.com\n"),
  hostname("a host name with a label of 64 characters is refused", `${"a".repeat(64)}.example.com`),
  {
    because: "a reference with an empty label is refused",
    kind: "SmtpRelay",
    manifest: changed(minimal.SmtpRelay, "spec.poolRef.name", "a..b"),
    refused: { at: "spec.poolRef.name", as: "Invalid" },
  },
  {
    because: "a size without a binary unit is refused",
    kind: "SmtpRelay",
    manifest: changed(minimal.SmtpRelay, "spec.storage.size", "10GB"),
    refused: { at: "spec.storage.size", as: "Invalid" },
  },
  {
    because: "a report address with a size limit is refused",
    kind: "SendingDomain",
    manifest: changed(minimal.SendingDomain, "spec.dmarc.reportAddress", "dmarc@example.com!10m"),
    refused: { at: "spec.dmarc.reportAddress", as: "Invalid" },
  },
  {
    because: "a fraction is no integer",
    kind: "SmtpRelay",
    manifest: changed(minimal.SmtpRelay, "spec.replicas", 1.5),
    refused: { at: "spec.replicas", as: "TypeInvalid" },
  },
];

const names: readonly Verdict[] = ["two--hyphens", "-start", "end-", "1first", "Upper"].map((name) => ({
  because: `${name} is no name of a port`,
  kind: "SmtpRelay",
  manifest: changed(full.SmtpRelay, "spec.listeners[0].name", name),
  refused: { at: "spec.listeners[0].name", as: "Invalid" },
}));

const duplicates: readonly Verdict[] = [
  {
    because: "two listeners of one name are refused",
    kind: "SmtpRelay",
    manifest: changed(full.SmtpRelay, "spec.listeners[1].name", "internal"),
    refused: { at: "spec.listeners[1]", as: "Duplicate" },
  },
  {
    because: "two addresses of one name are refused",
    kind: "IpPool",
    manifest: changed(minimal.IpPool, "spec.addresses[1].name", "a"),
    refused: { at: "spec.addresses[1]", as: "Duplicate" },
  },
  {
    because: "the same domain twice in a credential is refused",
    kind: "SmtpRelay",
    manifest: changed(full.SmtpRelay, "spec.auth.credentials[0].domains", ["a.example", "a.example"]),
    refused: { at: "spec.auth.credentials[0].domains[1]", as: "Duplicate" },
  },
];

export const verdicts: readonly Verdict[] = [
  ...wholes,
  ...nulls,
  ...formats,
  ...names,
  ...duplicates,
  ...ruleVerdicts,
  ...kindNames.flatMap((kind) => boundVerdicts(kind, full[kind])),
];
