/**
 * Manifests the verdicts start from: the smallest useful one of each kind, and one that sets every field of
 * its spec; with a way to change one field at a time.
 */
import { API_VERSION, type KindName } from "../../../crds/group.ts";

export type Manifest = Readonly<Record<string, unknown>>;

function manifest(kind: KindName, name: string, spec: unknown): Manifest {
  return { apiVersion: API_VERSION, kind, metadata: { name, namespace: "mail" }, spec };
}

export const minimal: Readonly<Record<KindName, Manifest>> = {
  SmtpRelay: manifest("SmtpRelay", "mail", {
    hostname: "mail.example.com",
    replicas: 2,
    storage: { size: "10Gi" },
    poolRef: { name: "default" },
  }),
  SendingDomain: manifest("SendingDomain", "example-com", {
    domain: "example.com",
    relayRef: { name: "mail" },
  }),
  IpPool: manifest("IpPool", "default", {
    addresses: [
      { name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.com" },
      { name: "b", ip: "192.0.2.11", ehloName: "b.mail.example.com" },
    ],
    warmup: { ramp: "Standard" },
  }),
};

export const full: Readonly<Record<KindName, Manifest>> = {
  SmtpRelay: manifest("SmtpRelay", "mail", {
    hostname: "mail.example.com",
    replicas: 3,
    paused: false,
    poolRef: { name: "default" },
    listeners: [
      {
        name: "internal",
        port: 2525,
        tls: "StartTls",
        auth: "Optional",
        trustedNetworks: ["10.20.0.0/16", "fd00:1::/64"],
      },
      { name: "submission", port: 587, tls: "StartTls", auth: "Required" },
      { name: "submissions", port: 465, tls: "Implicit" },
    ],
    limits: {
      messageSizeBytes: 26_214_400,
      recipientsPerMessage: 1000,
      sessions: 5000,
      sessionsPerClient: 200,
    },
    certificate: { secretRef: { name: "mail-tls" } },
    auth: {
      credentials: [
        { name: "crm", domains: ["crm.example.com"], secretRef: { name: "crm-smtp" } },
        { name: "app", domains: ["example.com"], queueClass: "transactional" },
      ],
      deletionPolicy: "Delete",
    },
    storage: { size: "20Gi", className: "fast-ssd" },
    podTemplate: {
      resources: {
        requests: { cpu: "500m", memory: "512Mi" },
        limits: { cpu: "2", memory: "1Gi" },
      },
      tolerations: [{ key: "example.com/mail", operator: "Equal", value: "yes", effect: "NoSchedule" }],
      priorityClassName: "mail",
      nodeSelector: { "example.com/mail": "yes" },
      annotations: { "k8s.v1.cni.cncf.io/networks": "mail-net" },
      imagePullSecrets: [{ name: "registry" }],
      serviceAccountName: "mail-pods",
    },
    queue: {
      expireAfterSeconds: 432_000,
      retry: { firstDelaySeconds: 300, longestDelaySeconds: 14_400 },
      classes: [
        {
          name: "transactional",
          priority: "High",
          expireAfterSeconds: 86_400,
          retry: { firstDelaySeconds: 60, longestDelaySeconds: 3600 },
        },
        { name: "bulk", priority: "Low" },
      ],
    },
    routes: [
      {
        name: "partner",
        match: { recipientDomains: ["partner.example", "*.partner.example"] },
        to: {
          smarthost: {
            host: "mx.partner.example",
            port: 587,
            tls: "Verify",
            connections: 20,
            credentialsRef: { name: "partner" },
          },
        },
      },
      { name: "rest", to: { pool: { name: "default" } } },
    ],
    tlsOutbound: { mode: "Opportunistic", minVersion: "TLSv1.2" },
    privacy: { addressesInLogs: "Hashed" },
  }),
  SendingDomain: manifest("SendingDomain", "example-com", {
    domain: "example.com",
    relayRef: { name: "mail" },
    verification: "Warn",
    dkim: { rotationDays: 90, deletionPolicy: "Delete" },
    spf: { policy: "Fail" },
    dmarc: { policy: "Reject", reportAddress: "dmarc-reports@example.com" },
  }),
  IpPool: manifest("IpPool", "default", {
    addresses: [
      { name: "a", ip: "192.0.2.10", ehloName: "a.mail.example.com", state: "Active" },
      { name: "b", ip: "2001:db8::10", ehloName: "b.mail.example.com", state: "Paused" },
    ],
    egress: "Bound",
    warmup: { ramp: "Custom", dailyLimits: [100, 100, 500, 2000] },
    checks: { forwardConfirmedReverseDns: "Warn" },
  }),
};

/** "spec.listeners[1].port" → ["spec", "listeners", 1, "port"]. */
function segments(path: string): (string | number)[] {
  return [...path.matchAll(/[^.[\]]+/g)].map(([step]) => (/^\d+$/.test(step) ? Number(step) : step));
}

/** A copy of `base` with `value` at `path`; undefined takes the field away. Groups on the way are made. */
export function changed(base: Manifest, path: string, value: unknown): Manifest {
  const copy = structuredClone(base) as Record<string, unknown>;
  const steps = segments(path);
  const last = steps.pop() ?? "";
  let at: Record<string | number, unknown> = copy;
  for (const step of steps) {
    at[step] ??= {};
    at = at[step] as Record<string | number, unknown>;
  }
  if (value !== undefined) at[last] = value;
  else if (Array.isArray(at)) at.splice(Number(last), 1);
  else delete at[last];
  return copy;
}
