/** How local mode names an object in maps and messages. */

export const DEFAULT_NAMESPACE = "default";

/** Kind, namespace and name, which no two objects share: "SmtpRelay default/mail". */
export function objectKey(object: {
  readonly kind: string;
  readonly metadata: { readonly namespace?: string | undefined; readonly name: string };
}): string {
  return `${object.kind} ${object.metadata.namespace ?? DEFAULT_NAMESPACE}/${object.metadata.name}`;
}
