/** Words the contract suites share: objects to send, and ways to look at answers. */
import { beforeAll, vi } from "vitest";

import { API_VERSION } from "../../../crds/group.ts";
import {
  type ApplyObject,
  type KubeClient,
  KubeError,
  type KubeObject,
  type ResourceType,
  type WatchEvent,
  type WatchOptions,
} from "../../../operator/adapters/kubeClient.ts";

export interface KubeFixture {
  readonly client: KubeClient;
  /** An empty namespace for this run. */
  readonly namespace: string;
}

export const secrets: ResourceType = { apiVersion: "v1", kind: "Secret", plural: "secrets" };
export const pools: ResourceType = { apiVersion: API_VERSION, kind: "IpPool", plural: "ippools" };

/** Two field managers. */
export const first = "contract-first";
export const second = "contract-second";
/** Patience with what happens in the background. */
export const soon = { timeout: 20_000, interval: 50 };

export type KubeKit = ReturnType<typeof kubeKit>;

/** To be called in a describe block: the fixture is made before its first test. */
export function kubeKit(fixture: () => Promise<KubeFixture>) {
  let made: KubeFixture | undefined;
  let serial = 0;
  beforeAll(async () => {
    made = await fixture();
  });
  const current = (): KubeFixture => {
    if (made === undefined) throw new Error("the fixture is used before the tests began");
    return made;
  };
  const newName = (): string => `thing-${(serial += 1)}`;
  const meta = (object: string, rest: Partial<ApplyObject["metadata"]> = {}) => ({
    name: object,
    namespace: current().namespace,
    ...rest,
  });
  const key = (object: string) => ({ namespace: current().namespace, name: object });
  const secret = (object: string, rest: Partial<ApplyObject> = {}): ApplyObject => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: meta(object),
    ...rest,
  });
  const pool = (object: string, addresses: object[], rest: Partial<ApplyObject> = {}): ApplyObject => ({
    apiVersion: API_VERSION,
    kind: "IpPool",
    metadata: meta(object),
    spec: { addresses },
    ...rest,
  });
  const address = (id: string, last = 10) => ({
    name: id,
    ip: `192.0.2.${last}`,
    ehloName: `${id}.mail.example.com`,
  });
  const status = (object: string, value: object): ApplyObject => ({
    apiVersion: API_VERSION,
    kind: "IpPool",
    metadata: meta(object),
    status: value,
  });
  const condition = (type: string, message = "as it should be") => ({
    type,
    status: "True",
    reason: "AsExpected",
    message,
    lastTransitionTime: "2026-11-23T12:00:00Z",
  });
  const read = async (type: ResourceType, object: string): Promise<KubeObject> => {
    const found = await current().client.get(type, key(object));
    if (found === null) throw new Error(`${type.kind} ${object} is not there`);
    return found;
  };
  const refusal = async (call: Promise<unknown>): Promise<KubeError> => {
    const error = await call.then(
      () => new Error("the call was not refused"),
      (reason: unknown) => reason,
    );
    if (error instanceof KubeError) return error;
    throw error;
  };
  /** Events until `enough` says so. */
  const events = async (
    type: ResourceType,
    watch: Omit<WatchOptions, "signal">,
    enough: (seen: readonly WatchEvent[]) => boolean,
  ): Promise<WatchEvent[]> => {
    const seen: WatchEvent[] = [];
    const stop = AbortSignal.timeout(soon.timeout);
    for await (const event of current().client.watch(type, { ...watch, signal: stop })) {
      if (event.type !== "BOOKMARK") seen.push(event);
      if (enough(seen)) break;
    }
    return seen;
  };
  const short = (seen: readonly WatchEvent[]) =>
    seen.map((event) =>
      event.type === "BOOKMARK" ? event.type : `${event.type} ${event.object.metadata.name}`,
    );
  /** True as soon as the Secret is gone; throws when it stays. */
  const gone = (object: string): Promise<boolean> =>
    vi.waitFor(async () => {
      if ((await current().client.get(secrets, key(object))) === null) return true;
      throw new Error(`${object} is still there`);
    }, soon);
  return {
    client: () => current().client,
    namespace: () => current().namespace,
    newName,
    meta,
    secret,
    pool,
    address,
    status,
    condition,
    read,
    refusal,
    events,
    short,
    key,
    gone,
  };
}
