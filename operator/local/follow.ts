/** The objects of one kind, always current: an informer that keeps them as they are. */
import type { Clock } from "../../relay/kit/clock.ts";
import type { Log } from "../../relay/kit/log.ts";
import type { Random } from "../../relay/kit/random.ts";
import type { KubeClient, KubeObject, ObjectKey, ResourceType } from "../adapters/kubeClient.ts";
import { Informer } from "../reconcile/informer.ts";

export interface Following {
  all(): readonly KubeObject[];
  get(key: ObjectKey): KubeObject | undefined;
  stop(): Promise<void>;
}

export interface FollowContext {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
}

/** Resolves after the first list. `onChange` hears of every change after it, with the object's last state. */
export async function follow(
  context: FollowContext,
  type: ResourceType,
  onChange: (object: KubeObject) => void,
): Promise<Following> {
  const informer = new Informer<KubeObject>({
    ...context,
    type,
    namespaces: null,
    shape: (object) => object,
  });
  informer.onChange((change, first) => {
    const object = change.after?.object ?? change.before?.object;
    if (!first && object !== undefined) onChange(object);
  });
  informer.start();
  await informer.synced;
  return {
    all: () => informer.cache.all(),
    get: (key) => informer.peek(key),
    stop: () => informer.stop(),
  };
}
