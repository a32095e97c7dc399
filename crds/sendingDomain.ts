/**
 * SendingDomain: a domain that sends through a relay; its DKIM keys, the records it needs in DNS and what
 * was seen there.
 */
import { z } from "zod";

import { conditions, hostName, reference, timestamp, utcDay } from "./fields.ts";

export const sendingDomainSpec = z.strictObject({
  domain: hostName.meta({
    description: "The domain in From and MAIL FROM, and in d= of its signatures. It cannot be changed.",
  }),
  relayRef: reference.meta({ description: "SmtpRelay that sends for it." }),
  verification: z.enum(["Require", "Warn"]).default("Require").meta({
    description:
      "Require: until its records are seen in DNS, mail from it is answered 451. Warn: it is sent all the same, signed only with keys that were seen.",
  }),
  dkim: z
    .strictObject({
      rotationDays: z.int().min(7).max(730).default(180).meta({
        description:
          "Age at which a key is replaced. The old one stays published for the queue's life and a week more.",
      }),
      deletionPolicy: z
        .enum(["Retain", "Delete"])
        .default("Retain")
        .meta({ description: "What happens to the Secret with the keys when this object is deleted." }),
    })
    .prefault({})
    .meta({
      description: "DKIM keys: one RSA-2048 and one Ed25519, both sign every message (RFC 6376, RFC 8463).",
    }),
  spf: z
    .strictObject({
      policy: z.enum(["SoftFail", "Fail"]).default("SoftFail").meta({
        description: "What the suggested SPF record says of other senders: ~all or -all (RFC 7208).",
      }),
    })
    .prefault({})
    .meta({ description: "The SPF record, which must authorise the addresses of the pool." }),
  dmarc: z
    .strictObject({
      policy: z.enum(["None", "Quarantine", "Reject"]).default("None").meta({
        description: "Policy of the suggested DMARC record (RFC 9989). A stricter one in DNS is fine.",
      }),
      reportAddress: z
        .string()
        .min(3)
        .max(254)
        // RFC 9989: ",", ";" and "!" have a meaning of their own in rua=; a plain address needs none.
        .regex(/^[A-Za-z0-9._+=~-]+@[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, "must be a plain mail address")
        .optional()
        .meta({ description: "Where aggregate reports go (rua=). Default: none are asked for." }),
    })
    .prefault({})
    .meta({ description: "The DMARC record." }),
});
export type SendingDomainSpec = z.output<typeof sendingDomainSpec>;

export const dnsRecordStatus = z.strictObject({
  name: z.string().max(253).meta({ description: "Name of the record." }),
  type: z.enum(["TXT", "A", "AAAA", "PTR", "MX", "CNAME"]).meta({ description: "Type of the record." }),
  purpose: z.string().max(63).meta({ description: "What it is for: DkimRsa, DkimEd25519, Spf, Dmarc." }),
  expected: z.string().max(1024).meta({ description: "Value to publish, strings joined." }),
  seen: z
    .array(z.string().max(1024))
    .max(16)
    .meta({ description: "Values seen at the zone's name servers.", "x-kubernetes-list-type": "atomic" }),
  state: z
    .enum(["Unchecked", "Verified", "Missing", "Different", "Unreachable"])
    .meta({ description: "Whether what is seen will do." }),
  detail: z.string().max(512).optional().meta({ description: "What is wrong, when something is." }),
});
export type DnsRecordStatus = z.infer<typeof dnsRecordStatus>;

export const sendingDomainStatus = z.strictObject({
  observedGeneration: z
    .int()
    .min(0)
    .optional()
    .meta({ description: "Generation of the spec this status speaks of." }),
  conditions: conditions.optional(),
  selectors: z
    .string()
    .max(512)
    .optional()
    .meta({ description: "Selectors that sign, for the table: `r2611,e2611`." }),
  dns: z
    .enum(["Verified", "Incomplete", "Unchecked"])
    .optional()
    .meta({ description: "The records as a whole, for the table." }),
  nextRotation: utcDay.optional().meta({ description: "Day on which the next keys are made." }),
  dkim: z
    .strictObject({
      secretName: z.string().max(253).meta({ description: "Secret with the private keys." }),
      keys: z
        .array(
          z.strictObject({
            selector: z.string().max(63).meta({ description: "Selector: SELECTOR._domainkey.DOMAIN." }),
            algorithm: z.enum(["rsa-sha256", "ed25519-sha256"]).meta({ description: "Algorithm." }),
            state: z.enum(["Publishing", "Active", "Retiring"]).meta({
              description: "Publishing: must be seen in DNS first. Active: signs. Retiring: stays published.",
            }),
            createdAt: timestamp.meta({ description: "When it was made." }),
            activatedAt: timestamp.optional().meta({ description: "When it was first allowed to sign." }),
            retiredAt: timestamp.optional().meta({ description: "When it stopped signing." }),
            removeAfter: timestamp.optional().meta({ description: "From when its record may go." }),
          }),
        )
        .max(16)
        .meta({ description: "The keys.", "x-kubernetes-list-type": "atomic" }),
    })
    .optional()
    .meta({ description: "DKIM keys." }),
  records: z.array(dnsRecordStatus).max(32).optional().meta({
    description: "The records this domain needs, with what was seen.",
    "x-kubernetes-list-type": "atomic",
  }),
  checkedAt: timestamp
    .optional()
    .meta({ description: "When the outcome of checking the records last changed." }),
});
export type SendingDomainStatus = z.output<typeof sendingDomainStatus>;
