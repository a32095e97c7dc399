/**
 * SmtpRelay: a fleet of relay pods with a durable queue, its listeners, credentials, routes and limits.
 */
import { z } from "zod";

import {
  cidr,
  conditions,
  dnsLabel,
  hostName,
  objectName,
  port,
  reference,
  textByKey,
  timestamp,
} from "./fields.ts";

/** RFC 6335 §5.1, as Kubernetes wants the name of a container's port. */
const portName = z
  .string()
  .min(1)
  .max(15)
  .regex(
    /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/,
    "must start with a lower-case letter and have lower-case letters, digits and single hyphens",
  );

const listener = z.strictObject({
  name: portName.meta({ description: "Name of the listener, of the Service's port and of the pod's." }),
  port: port.meta({
    description: "Port clients connect to. Pods open ports below 1024 a thousand higher (587 as 1587).",
  }),
  tls: z.enum(["StartTls", "Implicit"]).meta({
    description:
      "StartTls: plain until STARTTLS, AUTH only after it (RFC 3207). Implicit: TLS from the first byte (RFC 8314).",
  }),
  auth: z.enum(["Required", "Optional"]).default("Required").meta({
    description:
      "Required: nothing is accepted without AUTH. Optional: clients in `trustedNetworks` may submit without it.",
  }),
  trustedNetworks: z.array(cidr).max(64).default([]).meta({
    description:
      "Networks whose clients may submit without AUTH; only with auth: Optional. Never wider than /8 (IPv4) or /32 (IPv6).",
    "x-kubernetes-list-type": "set",
  }),
});

const credential = z.strictObject({
  name: dnsLabel.meta({
    description:
      "Name of the credential and its user name. The Secret RELAY-CREDENTIAL, such as `mail-app`, holds its connection settings.",
  }),
  domains: z.array(hostName).max(256).default([]).meta({
    description: "Domains it may send from. Empty: every SendingDomain of this relay.",
    "x-kubernetes-list-type": "set",
  }),
  secretRef: reference.optional().meta({
    description:
      "Secret of your own with `password` (and optionally `username`). Default: one is made, named RELAY-CREDENTIAL.",
  }),
  queueClass: dnsLabel.optional().meta({
    description:
      "Class of `spec.queue.classes` that its mail is in unless a message names another by `X-Queue-Class`, which may then be of no higher priority. Default: `default`, and a message may name any class.",
  }),
});

const queueClass = z.strictObject({
  name: dnsLabel.meta({
    description:
      "Name of the class: in `queueClass` of credentials, in the header field `X-Queue-Class`, in `smtp-relay queue` and in metrics. `default` is the class of mail that nothing names one for.",
  }),
  priority: z.enum(["High", "Normal", "Low"]).default("Normal").meta({
    description:
      "Who goes first when several wait for the same connections: of 21 transactions that all three could use, High gets 16, Normal 4 and Low 1, so that none waits for ever.",
  }),
  expireAfterSeconds: z.int().min(300).max(2_592_000).optional().meta({
    description:
      "Age at which mail of this class that still waits is returned. Default: `spec.queue.expireAfterSeconds`.",
  }),
  retry: z
    .strictObject({
      firstDelaySeconds: z.int().min(10).max(86_400).optional().meta({
        description: "Delay before the second attempt. Default: that of `spec.queue.retry`.",
      }),
      longestDelaySeconds: z.int().min(10).max(86_400).optional().meta({
        description: "Longest delay between attempts. Default: that of `spec.queue.retry`.",
      }),
    })
    .optional()
    .meta({ description: "When deferred mail of this class is tried again." }),
});

const smarthost = z.strictObject({
  host: hostName.meta({ description: "Name of the smart host." }),
  port: port.default(587).meta({ description: "Its port; 465 speaks TLS from the first byte." }),
  tls: z.enum(["Opportunistic", "Required", "Verify"]).default("Verify").meta({
    description:
      "Verify: TLS with a valid certificate. Required: TLS with any. Opportunistic: TLS if offered.",
  }),
  credentialsRef: reference.optional().meta({
    description: "Secret with `username` and `password` for AUTH at the smart host. Default: no AUTH.",
  }),
  connections: z
    .int()
    .min(1)
    .max(500)
    .optional()
    .meta({
      description:
        "Most connections that each pod has to it at once; hosted ones say how many they take (Exchange Online: 3). " +
        "Default: 50; where the host is a mailbox provider's, what that provider takes.",
    }),
});

const route = z.strictObject({
  name: dnsLabel.meta({ description: "Name of the route, shown by `smtp-relay explain`." }),
  match: z
    .strictObject({
      recipientDomains: z
        .array(
          z
            .string()
            .min(1)
            .max(255)
            .regex(/^(\*\.)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/),
        )
        .min(1)
        .max(256)
        .meta({
          description: "Recipient domains: `example.com` is itself, `*.example.com` its subdomains.",
          "x-kubernetes-list-type": "set",
        }),
    })
    .optional()
    .meta({ description: "What it applies to. Default: every message." }),
  to: z
    .strictObject({
      pool: reference
        .optional()
        .meta({ description: "Straight to the recipient's MX from the addresses of this IpPool." }),
      smarthost: smarthost.optional().meta({ description: "To this host, whatever the MX says." }),
    })
    .meta({ description: "Where it goes: exactly one of `pool` and `smarthost`." }),
});

/** Forms that compare by CEL without a quantity type: whole cores or millicores, whole Mi or Gi. */
const cpu = z
  .string()
  .min(1)
  .max(7)
  .regex(/^[1-9][0-9]{0,5}m?$/, "must be cores such as 2 or millicores such as 250m");
const memory = z
  .string()
  .min(3)
  .max(8)
  .regex(/^[1-9][0-9]{0,5}(Mi|Gi)$/, "must be a size such as 512Mi or 2Gi");

const podTemplate = z.strictObject({
  resources: z
    .strictObject({
      requests: z
        .strictObject({
          cpu: cpu.optional().meta({ description: "CPU kept free for a pod. Default: 100m." }),
          memory: memory.optional().meta({ description: "Memory kept free for a pod. Default: 192Mi." }),
        })
        .optional()
        .meta({ description: "What the scheduler keeps free." }),
      limits: z
        .strictObject({
          cpu: cpu.optional().meta({ description: "Most CPU of a pod. Default: no limit." }),
          memory: memory.optional().meta({
            description: "Most memory of a pod. Default: 512Mi, or what is requested if that is more.",
          }),
        })
        .optional()
        .meta({ description: "What a pod may use at most." }),
    })
    .optional()
    .meta({ description: "CPU and memory of each pod." }),
  tolerations: z
    .array(
      z.strictObject({
        key: z
          .string()
          .min(1)
          .max(317)
          .regex(/^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/)
          .meta({ description: "Key of the taint." }),
        operator: z
          .enum(["Equal", "Exists"])
          .default("Equal")
          .meta({ description: "Equal: the taint's value must be `value`. Exists: any value." }),
        value: z
          .string()
          .min(1)
          .max(63)
          .regex(/^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/)
          .optional()
          .meta({ description: "Value of the taint; only with operator: Equal." }),
        effect: z
          .enum(["NoSchedule", "PreferNoSchedule", "NoExecute"])
          .optional()
          .meta({ description: "Effect of the taint. Default: every effect." }),
      }),
    )
    .max(16)
    .optional()
    .meta({
      description: "Taints of nodes that relay pods may run on all the same.",
      "x-kubernetes-list-type": "atomic",
    }),
  priorityClassName: objectName.optional().meta({
    description: "PriorityClass of the pods. Default: the cluster's.",
  }),
  nodeSelector: textByKey({ most: 16, longest: 63 }).optional().meta({
    description: "Labels a node must have for relay pods to run on it. Default: any node will do.",
  }),
  annotations: textByKey({ most: 32, longest: 8192 }).optional().meta({
    description:
      "Annotations of the pods, such as k8s.v1.cni.cncf.io/networks, which names the networks they join.",
  }),
  imagePullSecrets: z
    .array(
      z.strictObject({
        name: objectName.meta({ description: "Name of a Secret of the registry, in the same namespace." }),
      }),
    )
    .max(10)
    .optional()
    .meta({
      description: "Secrets for a private registry. Default: those of the pods' ServiceAccount.",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
    }),
  serviceAccountName: objectName.optional().meta({
    description:
      "ServiceAccount of the pods, for clusters that tie registries or admission to one; no token of it is mounted. Default: one named after the relay, made by the operator and bound to nothing.",
  }),
});

export const smtpRelaySpec = z.strictObject({
  hostname: hostName.meta({
    description:
      "Name clients connect to; it stands in the greeting, in `Received`, in the certificate and in the connection settings.",
  }),
  replicas: z.int().min(0).max(50).default(1).meta({
    description:
      "Number of relay pods. Each has its own durable queue; the addresses of the pool are shared out among them.",
  }),
  paused: z.boolean().default(false).meta({
    description: "True: mail is accepted and kept, nothing is delivered.",
  }),
  poolRef: reference.optional().meta({
    description:
      "IpPool whose addresses mail leaves from when no route matches. Needed unless a route without `match` is the last one.",
  }),
  listeners: z
    .array(listener)
    .min(1)
    .max(8)
    .default([
      { name: "submission", port: 587, tls: "StartTls", auth: "Required", trustedNetworks: [] },
      { name: "submissions", port: 465, tls: "Implicit", auth: "Required", trustedNetworks: [] },
    ])
    .meta({
      description: "Where mail comes in. Default: 587 with STARTTLS and 465 with TLS, both with AUTH.",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
    }),
  limits: z
    .strictObject({
      messageSizeBytes: z.int().min(65_536).max(1_073_741_824).default(26_214_400).meta({
        description:
          "Largest message taken, announced by SIZE (RFC 1870); larger ones are refused with 552 5.3.4.",
      }),
      recipientsPerMessage: z.int().min(100).max(10_000).default(1000).meta({
        description:
          "Most recipients of one message; further ones hear 452 4.5.3 (RFC 5321 §4.5.3.1.8 asks for at least 100).",
      }),
      sessions: z.int().min(1).max(50_000).default(5000).meta({
        description: "Most sessions of one pod at a time; further ones hear 421 4.3.2.",
      }),
      sessionsPerClient: z.int().min(1).max(50_000).default(200).meta({
        description: "Most sessions from one client address at a time.",
      }),
    })
    .prefault({})
    .meta({ description: "Bounds on what clients may ask for." }),
  certificate: z
    .strictObject({
      secretRef: reference.meta({
        description: "Secret of type kubernetes.io/tls with `tls.crt` and `tls.key`.",
      }),
    })
    .optional()
    .meta({
      description: "Certificate of the listeners. Default: a self-signed one is made, and Ready says so.",
    }),
  auth: z
    .strictObject({
      credentials: z
        .array(credential)
        .min(1)
        .max(100)
        .default([{ name: "app", domains: [] }])
        .meta({
          description: "Who may submit. Default: one credential `app` for every domain of this relay.",
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["name"],
        }),
      deletionPolicy: z.enum(["Retain", "Delete"]).default("Retain").meta({
        description:
          "What happens to the passwords and the self-signed certificate the operator made when this object is deleted. Retain: their Secrets stay, and a relay of the same name goes on with them, so that no application has to be told anything.",
      }),
    })
    .prefault({})
    .meta({ description: "Authentication of clients." }),
  storage: z
    .strictObject({
      size: z
        .string()
        .min(2)
        .max(20)
        .regex(/^[1-9][0-9]*(Mi|Gi|Ti)$/, "must be a size such as 10Gi")
        .default("10Gi")
        .meta({ description: "Size of each pod's queue volume." }),
      className: objectName
        .optional()
        .meta({ description: "StorageClass of the volume. Default: the cluster's default class." }),
    })
    .prefault({})
    .meta({ description: "The durable queue's volume, one a pod." }),
  podTemplate: podTemplate.optional().meta({
    description: "What the pods ask of the cluster. A change restarts them one by one; no mail is lost.",
  }),
  queue: z
    .strictObject({
      expireAfterSeconds: z.int().min(300).max(2_592_000).default(432_000).meta({
        description:
          "Age at which a message that still waits is returned to its sender (RFC 5321 §4.5.4.1: at least 4–5 days).",
      }),
      retry: z
        .strictObject({
          firstDelaySeconds: z.int().min(10).max(86_400).default(300).meta({
            description:
              "Delay before the second attempt; it doubles from there (5, 10, 20, 40 min, 1, 2, 3 h, then the longest).",
          }),
          longestDelaySeconds: z
            .int()
            .min(10)
            .max(86_400)
            .default(14_400)
            .meta({ description: "Longest delay between attempts." }),
        })
        .prefault({})
        .meta({
          description: "When deferred mail is tried again; every delay is stretched or shrunk by up to 15 %.",
        }),
      classes: z
        .array(queueClass)
        .max(16)
        .default([])
        .meta({
          description:
            "Kinds of mail that wait side by side, so that a mailing does not delay a password reset. A message is in the class its header field `X-Queue-Class` names (the field is taken out; a name that is no class is refused with 554 5.6.0), else in its credential's `queueClass`, else in `default`. None: all mail is in `default`, of Normal priority.",
          "x-kubernetes-list-type": "map",
          "x-kubernetes-list-map-keys": ["name"],
        }),
    })
    .prefault({})
    .meta({ description: "How long mail waits and how often it is tried." }),
  routes: z
    .array(route)
    .max(100)
    .default([])
    .meta({
      description: "Where mail goes; the first match wins. None: to the recipient's MX from `poolRef`.",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
    }),
  tlsOutbound: z
    .strictObject({
      mode: z.enum(["Opportunistic", "Required"]).default("Opportunistic").meta({
        description: "Opportunistic: TLS when the receiver offers it. Required: defer where it does not.",
      }),
      minVersion: z
        .enum(["TLSv1.2", "TLSv1.3"])
        .default("TLSv1.2")
        .meta({ description: "Oldest TLS version spoken to receivers." }),
    })
    .prefault({})
    .meta({ description: "TLS towards receivers." }),
  privacy: z
    .strictObject({
      addressesInLogs: z
        .enum(["Plain", "Hashed", "Omitted"])
        .default("Hashed")
        .meta({ description: "How mail addresses appear in the relay's log." }),
    })
    .prefault({})
    .meta({ description: "Personal data." }),
});
export type SmtpRelaySpec = z.output<typeof smtpRelaySpec>;

const count = z.int().min(0);

export const smtpRelayStatus = z.strictObject({
  observedGeneration: count.optional().meta({ description: "Generation of the spec this status speaks of." }),
  conditions: conditions.optional(),
  replicas: count.optional().meta({ description: "Pods that exist." }),
  readyReplicas: count.optional().meta({ description: "Pods that are ready." }),
  ready: z.string().max(32).optional().meta({ description: "Ready and wanted pods, for the table: `2/3`." }),
  selector: z
    .string()
    .max(1024)
    .optional()
    .meta({ description: "Label selector of the pods, for autoscalers." }),
  configRevision: z
    .string()
    .max(64)
    .optional()
    .meta({ description: "Revision of the configuration the pods should have." }),
  queue: z
    .strictObject({
      messages: count.meta({ description: "Messages that wait, over all pods." }),
      oldestSeconds: count.optional().meta({ description: "Age of the oldest one." }),
      oldest: z.string().max(16).optional().meta({ description: "The same for the table: `38s`." }),
    })
    .optional()
    .meta({ description: "The queue, rounded and at most once a minute." }),
  figuresAt: timestamp.optional().meta({
    description: "When the figures of this status last moved; they move at most once a minute.",
  }),
  settings: z
    .strictObject({
      host: z.string().max(253).meta({ description: "Host applications connect to." }),
      port: port.meta({ description: "Port." }),
      security: z.enum(["STARTTLS", "TLS"]).meta({ description: "How TLS starts." }),
      secretName: z
        .string()
        .max(253)
        .meta({ description: "Secret with user name and password of the first credential." }),
    })
    .optional()
    .meta({ description: "What to paste into an application." }),
  credentials: z
    .array(
      z.strictObject({
        name: z.string().max(63).meta({ description: "Name of the credential." }),
        secretName: z.string().max(253).meta({ description: "Secret with its connection settings." }),
        state: z
          .enum(["Ready", "SecretMissing", "SecretInvalid", "DomainUnknown"])
          .meta({ description: "Whether it can be used." }),
      }),
    )
    .max(100)
    .optional()
    .meta({
      description: "The credentials.",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
    }),
  pods: z
    .array(
      z.strictObject({
        name: z.string().max(253).meta({ description: "Name of the pod." }),
        ready: z.boolean().meta({ description: "Whether it is ready." }),
        queued: count.optional().meta({ description: "Messages it holds." }),
        appliedRevision: z
          .string()
          .max(64)
          .optional()
          .meta({ description: "Revision of the configuration it runs." }),
        addresses: z
          .array(z.string().max(253))
          .max(256)
          .optional()
          .meta({ description: "Pool addresses it sends from.", "x-kubernetes-list-type": "atomic" }),
      }),
    )
    .max(100)
    .optional()
    .meta({
      description: "The pods.",
      "x-kubernetes-list-type": "map",
      "x-kubernetes-list-map-keys": ["name"],
    }),
});
export type SmtpRelayStatus = z.output<typeof smtpRelayStatus>;
