/**
 * KubeClient over a real API server. Raw JSON in both directions: no model of ours or of a library's drops a
 * field it does not know. What goes wrong arrives as KubeError, as from the cluster in memory.
 */
import type { Clock } from "../../../relay/kit/clock.ts";
import type { Random } from "../../../relay/kit/random.ts";
import { resources } from "../../resources.ts";
import {
  type ApplyObject,
  type KubeClient,
  KubeError,
  type KubeObject,
  type ListOptions,
  type ObjectKey,
  type ObjectList,
  type ResourceType,
  type VersionList,
  type WatchEvent,
  type WatchOptions,
} from "../kubeClient.ts";
import { ACCEPT_VERSIONS, asList, asObject, asVersions } from "./answers.ts";
import { apiPath, labelSelector, type Target } from "./paths.ts";
import { unreachable } from "./apiError.ts";
import { type ApiRequest, type Refusal, Transport, type TransportOptions } from "./transport.ts";
import { watchEvents } from "./watchStream.ts";

export const leases: ResourceType = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", plural: "leases" };
export const events: ResourceType = { apiVersion: "events.k8s.io/v1", kind: "Event", plural: "events" };

export interface ClusterClientOptions extends TransportOptions {
  readonly clock: Clock;
  readonly random: Random;
  /** Types that may be applied, beside those the operator knows. */
  readonly types?: readonly ResourceType[];
}

export interface ClusterClient extends KubeClient {
  /** Ends every call, watch and connection. */
  close(): void;
}

/** The server ends a watch after so long; spread, so that those opened together do not end together. */
const WATCH_SECONDS = { least: 300, most: 600 };
/** A server that forgets to end it is helped. */
const WATCH_GRACE_SECONDS = 30;

export function createClusterClient(options: ClusterClientOptions): ClusterClient {
  return new Client(options);
}

class Client implements ClusterClient {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #random: Random;
  readonly #types: ReadonlyMap<string, ResourceType>;

  constructor(options: ClusterClientOptions) {
    this.#transport = new Transport(options);
    this.#clock = options.clock;
    this.#random = options.random;
    this.#types = new Map(
      [...Object.values(resources), leases, events, ...(options.types ?? [])].map((type) => [
        typeId(type),
        type,
      ]),
    );
  }

  async get(type: ResourceType, key: ObjectKey): Promise<KubeObject | null> {
    const purpose = `get ${type.kind} ${key.namespace}/${key.name}`;
    const answer = await this.#transport.call({
      method: "GET",
      path: apiPath({ type, ...key }),
      repeatable: true,
      purpose,
    });
    if (!("error" in answer)) return asObject(answer.value, purpose);
    if (isMissing(answer, key.name)) return null;
    throw answer.error;
  }

  async list(type: ResourceType, options: ListOptions = {}): Promise<ObjectList> {
    const { value, bytes, purpose } = await this.#list(type, options);
    return { ...asList(value, type, purpose), bytes };
  }

  async listVersions(type: ResourceType, options: ListOptions = {}): Promise<VersionList> {
    const { value, bytes, purpose } = await this.#list(type, options, ACCEPT_VERSIONS);
    return { ...asVersions(value, purpose), bytes };
  }

  async *watch(type: ResourceType, options: WatchOptions): AsyncGenerator<WatchEvent> {
    if (options.signal.aborted) return;
    const purpose = `watch ${type.plural} in ${options.namespace ?? "all namespaces"}`;
    const { least, most } = WATCH_SECONDS;
    const timeoutSeconds = Math.round(least + this.#random.draw() * (most - least));
    const end = new AbortController();
    const onAbort = () => end.abort();
    options.signal.addEventListener("abort", onAbort, { once: true });
    const cancel = this.#clock.after((timeoutSeconds + WATCH_GRACE_SECONDS) * 1000, onAbort);
    try {
      const request: ApiRequest = {
        method: "GET",
        path: apiPath(
          { type, namespace: options.namespace },
          {
            watch: true,
            allowWatchBookmarks: true,
            resourceVersion: options.resourceVersion,
            labelSelector: labelSelector(options.labels),
            timeoutSeconds,
          },
        ),
        repeatable: true,
        purpose,
      };
      const response = await this.#transport.stream(request, end.signal);
      try {
        yield* watchEvents(response as AsyncIterable<Uint8Array>, purpose);
      } finally {
        response.destroy();
      }
    } catch (error) {
      // Broken off by us: that is how a watch ends.
      if (end.signal.aborted) return;
      if (error instanceof KubeError) throw error;
      throw unreachable(purpose, error instanceof Error ? error.message : String(error), error);
    } finally {
      cancel();
      options.signal.removeEventListener("abort", onAbort);
    }
  }

  apply(object: ApplyObject, fieldManager: string): Promise<KubeObject> {
    return this.#apply(object, fieldManager);
  }

  applyStatus(object: ApplyObject, fieldManager: string): Promise<KubeObject> {
    // What stands beside the status is not ours to claim by this way.
    const { name, namespace } = object.metadata;
    const sent = { ...identityOf(object), metadata: { name, namespace }, status: object["status"] };
    return this.#apply(sent, fieldManager, "status");
  }

  async delete(
    type: ResourceType,
    key: ObjectKey,
    precondition?: { readonly uid?: string; readonly resourceVersion?: string },
  ): Promise<boolean> {
    const request: ApiRequest = {
      method: "DELETE",
      path: apiPath({ type, ...key }),
      body: {
        type: "application/json",
        value: {
          apiVersion: "v1",
          kind: "DeleteOptions",
          propagationPolicy: "Background",
          ...(precondition === undefined ? {} : { preconditions: precondition }),
        },
      },
      // Without a precondition the second attempt could take an object made since.
      repeatable: precondition?.uid !== undefined || precondition?.resourceVersion !== undefined,
      purpose: `delete ${type.kind} ${key.namespace}/${key.name}`,
    };
    const answer = await this.#transport.call(request);
    if (!("error" in answer)) return true;
    if (isMissing(answer, key.name)) return answer.repeated;
    throw answer.error;
  }

  close(): void {
    this.#transport.close();
  }

  async #list(type: ResourceType, options: ListOptions, accept?: string) {
    const { namespace, name } = options;
    const what = name === undefined ? "" : ` named ${name}`;
    const purpose = `list ${type.plural}${what} in ${namespace ?? "all namespaces"}`;
    const path = apiPath(
      { type, namespace },
      {
        labelSelector: labelSelector(options.labels),
        fieldSelector: name === undefined ? undefined : `metadata.name=${name}`,
        limit: options.limit,
        continue: options.continueToken,
      },
    );
    const answer = await this.#transport.call({
      method: "GET",
      path,
      repeatable: true,
      purpose,
      // managedFields of ten thousand objects are one and the same text.
      ...(accept === undefined ? {} : { accept, packed: true }),
    });
    if ("error" in answer) throw answer.error;
    return { value: answer.value, bytes: answer.bytes, purpose };
  }

  async #apply(object: ApplyObject, fieldManager: string, subresource?: "status"): Promise<KubeObject> {
    const { name, namespace } = object.metadata;
    const type = this.#types.get(typeId(object));
    if (type === undefined) {
      throw new Error(
        `Cannot apply ${object.kind} ${namespace}/${name}: its resource type is not known here`,
      );
    }
    const target: Target = { type, namespace, name, ...(subresource === undefined ? {} : { subresource }) };
    const purpose = `apply ${subresource === undefined ? "" : "status of "}${object.kind} ${namespace}/${name}`;
    const answer = await this.#transport.call({
      method: "PATCH",
      path: apiPath(target, { fieldManager, force: true, fieldValidation: "Strict" }),
      // JSON is YAML.
      body: { type: "application/apply-patch+yaml", value: object },
      repeatable: true,
      purpose,
    });
    if ("error" in answer) throw answer.error;
    return asObject(answer.value, purpose);
  }
}

/** The object is not there; a 404 that names no object means that its type is not served. */
function isMissing(refusal: Refusal, name: string): boolean {
  return refusal.code === 404 && refusal.subject === name;
}

function typeId({ apiVersion, kind }: { readonly apiVersion: string; readonly kind: string }): string {
  return `${apiVersion}/${kind}`;
}

function identityOf({ apiVersion, kind }: ApplyObject) {
  return { apiVersion, kind };
}
