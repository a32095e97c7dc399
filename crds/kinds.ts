/** The three kinds as TypeScript types: what comes out of the API server (or of a judged manifest). */
import type { API_VERSION } from "./group.ts";
import type { IpPoolSpec, IpPoolStatus } from "./ipPool.ts";
import type { SendingDomainSpec, SendingDomainStatus } from "./sendingDomain.ts";
import type { SmtpRelaySpec, SmtpRelayStatus } from "./smtpRelay.ts";

export interface ResourceMeta {
  name: string;
  namespace: string;
  uid: string;
  resourceVersion: string;
  generation: number;
  creationTimestamp: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
}

interface Resource<K extends string, Spec, Status> {
  apiVersion: typeof API_VERSION;
  kind: K;
  metadata: ResourceMeta;
  /** With the schema's defaults filled in. */
  spec: Spec;
  status?: Status;
}

export type SmtpRelay = Resource<"SmtpRelay", SmtpRelaySpec, SmtpRelayStatus>;
export type SendingDomain = Resource<"SendingDomain", SendingDomainSpec, SendingDomainStatus>;
export type IpPool = Resource<"IpPool", IpPoolSpec, IpPoolStatus>;
