/**
 * Field schemas shared by the kinds. Every string, number and list is bounded; patterns stay within RE2,
 * which the API server uses. `meta()` carries the description and the x-kubernetes-* marks into the CRD.
 */
import { z } from "zod";

export const dnsLabel = z
  .string()
  .min(1)
  .max(63)
  .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/, "must be lower-case letters, digits and inner hyphens");

export const objectName = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    "must be a Kubernetes object name: lower-case letters, digits, inner hyphens and dots",
  );

/**
 * A fully qualified lower-case host name in A-label form, without the final dot. The last label starts with
 * a letter (RFC 3696 §2: top-level names are alphabetic), so that an IPv4 address is none.
 */
export const hostName = z
  .string()
  .min(3)
  .max(253)
  .regex(
    /^([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)+[a-z]([-a-z0-9]{0,61}[a-z0-9])?$/,
    "must be a fully qualified lower-case host name such as mail.example.com",
  );

/** IPv4 or IPv6 address; a CEL rule checks the exact form, because it can say what it wants. */
export const ipAddress = z
  .string()
  .min(2)
  .max(45)
  .regex(/^[0-9a-fA-F:.]+$/, "must be an IPv4 or IPv6 address");

/** As for addresses, a CEL rule checks the exact form. */
export const cidr = z
  .string()
  .min(4)
  .max(49)
  .regex(/^[0-9a-fA-F:.]+\/[0-9]{1,3}$/, "must be a network such as 10.20.0.0/16");

export const port = z.int().min(1).max(65535);

/** Reference to an object of the same namespace, whose kind the field's name says. */
export const reference = z.strictObject({
  name: objectName.meta({ description: "Name of the object, in the same namespace." }),
});

/** Labels or annotations. What a key may be is a CEL rule's to say, since a schema cannot. */
export function textByKey({ most, longest }: { readonly most: number; readonly longest: number }) {
  return z
    .record(z.string(), z.string().max(longest))
    .check(({ value, issues }) => {
      // JSON Schema's maxProperties, which zod has no word for.
      if (Object.keys(value).length > most)
        issues.push({ code: "too_big", origin: "object", maximum: most, input: value });
    })
    .meta({ maxProperties: most });
}

export const timestamp = z.iso.datetime();
export const utcDay = z
  .string()
  .max(10)
  .regex(/^[0-9]{4}-[0-9]{2}-[0-9]{2}$/);

export const condition = z.strictObject({
  type: z
    .string()
    .max(316)
    .meta({ description: "Type of the condition, in CamelCase; conditions.ts lists them." }),
  status: z.enum(["True", "False", "Unknown"]).meta({ description: "Whether the condition holds." }),
  observedGeneration: z
    .int()
    .min(0)
    .optional()
    .meta({ description: "Generation of the object this was found for." }),
  lastTransitionTime: timestamp.meta({ description: "When `status` last changed." }),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/)
    .meta({ description: "One CamelCase word from the reference table of reasons." }),
  message: z
    .string()
    .max(32768)
    .meta({ description: "A sentence a person can act on: number, limit, rule." }),
});
export type Condition = z.infer<typeof condition>;

export const conditions = z
  .array(condition)
  .max(16)
  .meta({
    description: "What is true of the object now.",
    "x-kubernetes-list-type": "map",
    "x-kubernetes-list-map-keys": ["type"],
  });
