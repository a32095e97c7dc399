/** Structural schemas of spec and status by kind, converted once. */
import type { KindName } from "./group.ts";
import { kindSchemas } from "./schemas.ts";
import type { ObjectSchema } from "./schemaTypes.ts";
import { structuralSchema } from "./structuralSchema.ts";

function ofKind(kind: KindName): { readonly spec: ObjectSchema; readonly status: ObjectSchema } {
  const { spec, status } = kindSchemas[kind];
  return { spec: structuralSchema(spec, "spec"), status: structuralSchema(status, "status") };
}

/** Without the CEL rules, which customResourceDefinition.ts adds. */
export const openApiSchemas: Readonly<Record<KindName, ReturnType<typeof ofKind>>> = {
  SmtpRelay: ofKind("SmtpRelay"),
  SendingDomain: ofKind("SendingDomain"),
  IpPool: ofKind("IpPool"),
};
