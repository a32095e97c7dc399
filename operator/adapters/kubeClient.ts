/**
 * The Kubernetes API as the operator uses it: a port with an in-memory adapter (memoryCluster.ts) and,
 * for real clusters, one over @kubernetes/client-node. One contract suite runs against both
 * (test/contract/kube).
 *
 * Objects are plain JSON. Every write is a server-side apply with a field manager per controller:
 * fields a manager stops sending are removed, fields of others stay.
 */

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  ownerReferences?: OwnerReference[];
  finalizers?: string[];
}

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
  [field: string]: unknown;
}

/** What an apply sends: no server-set metadata. */
export interface ApplyObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
    ownerReferences?: OwnerReference[];
    finalizers?: string[];
    /** Precondition: Conflict when the object is at another version. For locks; desired state sends none. */
    resourceVersion?: string;
  };
  [field: string]: unknown;
}

/** A resource type; `plural` is its path segment. */
export interface ResourceType {
  readonly apiVersion: string;
  readonly kind: string;
  readonly plural: string;
}

export interface ObjectKey {
  readonly namespace: string;
  readonly name: string;
}

export interface ListOptions {
  /** All namespaces when left out. */
  readonly namespace?: string;
  /** Equality selector: all of these labels. */
  readonly labels?: Readonly<Record<string, string>>;
  /** The one object of this name: `get` for who has the right to list. */
  readonly name?: string;
  /** Page size and token of a former page. */
  readonly limit?: number;
  readonly continueToken?: string;
}

export interface ObjectList {
  readonly items: KubeObject[];
  readonly resourceVersion: string;
  readonly continueToken?: string;
  /** Size of the answer, where it came over a wire. */
  readonly bytes?: number;
}

/** Which object, and at which version. */
export interface ObjectVersion {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

export interface VersionList extends Omit<ObjectList, "items"> {
  readonly items: readonly ObjectVersion[];
}

export type WatchEvent =
  | { readonly type: "ADDED" | "MODIFIED" | "DELETED"; readonly object: KubeObject }
  | { readonly type: "BOOKMARK"; readonly resourceVersion: string };

export interface WatchOptions {
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Events after this version. Too old a version ends the watch with a KubeError `Expired` (410). */
  readonly resourceVersion: string;
  readonly signal: AbortSignal;
}

export interface KubeClient {
  /** Null when it does not exist. */
  get(type: ResourceType, key: ObjectKey): Promise<KubeObject | null>;
  list(type: ResourceType, options?: ListOptions): Promise<ObjectList>;
  /**
   * The same list, of which only the versions are told: for who knows the objects and asks what has changed. A
   * continue token of either list goes on with the other.
   */
  listVersions(type: ResourceType, options?: ListOptions): Promise<VersionList>;
  /** Ends without error when the signal aborts or the server closes the stream; the caller starts anew. */
  watch(type: ResourceType, options: WatchOptions): AsyncIterable<WatchEvent>;
  /** Server-side apply of spec, data and metadata. Conflicts are taken over (force). */
  apply(object: ApplyObject, fieldManager: string): Promise<KubeObject>;
  /** Server-side apply of the status subresource: `object` carries status only. NotFound when it is gone. */
  applyStatus(object: ApplyObject, fieldManager: string): Promise<KubeObject>;
  /** True when something was deleted or is being deleted; false when it was not there. */
  delete(
    type: ResourceType,
    key: ObjectKey,
    precondition?: { readonly uid?: string; readonly resourceVersion?: string },
  ): Promise<boolean>;
}

export type KubeErrorReason =
  | "NotFound"
  | "AlreadyExists"
  | "Conflict"
  | "Invalid"
  | "Forbidden"
  | "Expired"
  | "TooManyRequests"
  | "Unavailable"
  | "Unknown";

/** A refused or failed call, translated once at the border. */
export class KubeError extends Error {
  override readonly name = "KubeError";
  readonly reason: KubeErrorReason;
  /** HTTP status, 0 when none came. */
  readonly code: number;

  constructor(reason: KubeErrorReason, code: number, message: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.code = code;
  }
}
