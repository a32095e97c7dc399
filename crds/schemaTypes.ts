/**
 * Structural schemas as TypeScript types: the part of OpenAPI 3.0 that our CRDs use, no more. Strings, lists
 * and maps are bounded, so that the API server can tell the cost of the rules on them.
 */

export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };

interface Common {
  readonly description?: string;
  readonly default?: Json;
  readonly "x-kubernetes-validations"?: readonly Validation[];
}

/** A CEL rule as it stands in a CRD. */
export interface Validation {
  readonly rule: string;
  readonly message: string;
  readonly fieldPath?: string;
}

export interface ObjectSchema extends Common {
  readonly type: "object";
  readonly properties?: Readonly<Record<string, StructuralSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: StructuralSchema;
  readonly maxProperties?: number;
}

export interface ArraySchema extends Common {
  readonly type: "array";
  readonly items: StructuralSchema;
  readonly minItems?: number;
  readonly maxItems: number;
  readonly "x-kubernetes-list-type": "map" | "set" | "atomic";
  readonly "x-kubernetes-list-map-keys"?: readonly string[];
}

export interface StringSchema extends Common {
  readonly type: "string";
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly pattern?: string;
  readonly format?: "date-time";
  readonly enum?: readonly string[];
}

export interface IntegerSchema extends Common {
  readonly type: "integer";
  readonly format: "int32" | "int64";
  readonly minimum: number;
  readonly maximum?: number;
}

export interface BooleanSchema extends Common {
  readonly type: "boolean";
}

export type StructuralSchema = ObjectSchema | ArraySchema | StringSchema | IntegerSchema | BooleanSchema;
