/**
 * Conditions of the three kinds and every reason they may carry: one table that status code, the reference
 * pages and the runbook read. `Reconciling` and `Stalled` are abnormal-true, as kstatus understands them;
 * every condition is written on every pass, so that a missing one means "not looked at yet".
 *
 * A reason says where it may stand (`on`), when it does, and what a person does next. The condition's
 * message adds the numbers, names and limits.
 */
import type { KindName } from "./group.ts";

export type ConditionStatus = "True" | "False" | "Unknown";

/** What each status of a condition says. */
export interface ConditionMeaning {
  readonly true: string;
  readonly false: string;
  readonly unknown: string;
}

const reconciling: ConditionMeaning = {
  true: "The operator is still bringing the cluster to what the spec asks, or waits for pods, keys or DNS to follow.",
  false: "What the spec asks has been carried out; nothing is under way.",
  unknown: "Not used.",
};

const stalled: ConditionMeaning = {
  true: "It will not go on by itself: a person has to change this object or what it names.",
  false: "Nothing needs a person.",
  unknown: "Not used.",
};

/** Condition types by kind, in the order in which status lists them. */
export const conditionTypes = {
  SmtpRelay: {
    Ready: {
      true: "Mail is taken and delivered as the spec asks.",
      false: "Mail is not taken, or cannot be delivered at all; the reason says which and why.",
      unknown: "The pods could not be asked, or the spec cannot be read.",
    },
    Reconciling: reconciling,
    Stalled: stalled,
    ConfigApplied: {
      true: "Every pod runs the current revision of the configuration.",
      false: "At least one pod runs another revision; it keeps the last one it could load.",
      unknown: "At least one pod did not say which revision it runs.",
    },
    QueueHealthy: {
      true: "Mail leaves as fast as receivers and limits allow; nothing waits longer than usual.",
      false: "Mail waits for something a person may want to know of: a provider, an allowance, a disk.",
      unknown: "No pod has reported its queue yet.",
    },
    Paused: {
      true: "`spec.paused` is set: mail is taken and kept, nothing is delivered.",
      false: "Delivery runs.",
      unknown: "Not used.",
    },
    Draining: {
      true: "At least one pod is on its way out: it takes no mail and delivers what it has.",
      false: "No pod is leaving.",
      unknown: "A pod that leaves did not say what it still holds.",
    },
  },
  SendingDomain: {
    Ready: {
      true: "Mail from the domain is taken and signed.",
      false: "Mail from the domain is answered 451 until the reason is gone.",
      unknown: "DNS has not been asked yet, or the spec cannot be read.",
    },
    Reconciling: reconciling,
    Stalled: stalled,
    KeysIssued: {
      true: "The DKIM keys exist in their Secret.",
      false: "The keys are not made yet, or the Secret does not hold what it should.",
      unknown: "Not used.",
    },
    DnsVerified: {
      true: "Every record the domain needs was seen at its name servers.",
      false: "At least one record is missing or says something else; status.records shows both.",
      unknown: "The name servers have not been asked or did not answer.",
    },
  },
  IpPool: {
    Ready: {
      true: "At least one address may send.",
      false: "No address may send.",
      unknown: "The addresses have not been checked yet, or the spec cannot be read.",
    },
    Reconciling: reconciling,
    Stalled: stalled,
    AddressesVerified: {
      true: "Every address proved what `spec.checks` asks.",
      false: "At least one address did not; status.addresses says which and what was seen.",
      unknown: "The checks have not run, did not get an answer, or are off.",
    },
    AddressesBound: {
      true: "Every pod has the addresses it sends from on its interfaces.",
      false:
        "An address is not on its pod, or a pod has none of them: nothing is sent there, and its mail waits or leaves by other addresses.",
      unknown: "The network translates addresses, or no pod has reported yet.",
    },
    WarmingUp: {
      true: "At least one address still climbs its ramp.",
      false: "Every address is warm.",
      unknown: "Not used.",
    },
  },
} as const satisfies Record<KindName, Record<string, ConditionMeaning>>;

/** A condition type of one kind, or of any. */
export type ConditionType<K extends KindName = KindName> = K extends KindName
  ? keyof (typeof conditionTypes)[K] & string
  : never;

/** Where a reason may stand, for example "Ready=False". */
export type Placement = `${ConditionType}=${ConditionStatus}`;

export interface ReasonMeaning {
  readonly kinds: readonly KindName[];
  readonly on: readonly Placement[];
  /** When it is given. */
  readonly when: string;
  /** What a person does next; empty when nothing is to be done. */
  readonly next: string;
}

/** Every reason a condition may carry. Stalled=True repeats the reason of the blocking problem. */
export const reasons = {
  // Of every kind.
  InProgress: {
    kinds: ["SmtpRelay", "SendingDomain", "IpPool"],
    on: ["Reconciling=True"],
    when: "Something of the spec is still being carried out.",
    next: "Wait; the message says for what.",
  },
  Settled: {
    kinds: ["SmtpRelay", "SendingDomain", "IpPool"],
    on: ["Reconciling=False"],
    when: "Everything the spec asks for is in place.",
    next: "",
  },
  NothingWrong: {
    kinds: ["SmtpRelay", "SendingDomain", "IpPool"],
    on: ["Stalled=False"],
    when: "No problem needs a person.",
    next: "",
  },

  SpecUnreadable: {
    kinds: ["SmtpRelay", "SendingDomain", "IpPool"],
    on: ["Ready=Unknown", "Stalled=True"],
    when: "The spec does not fit this operator: it was stored under definitions that are older or newer. What it could read last stays in force; of what it never could read nothing is touched.",
    next: "Bring operator and definitions to one version, or correct the field the message names.",
  },

  // The relay and its pods.
  Sending: {
    kinds: ["SmtpRelay"],
    on: ["Ready=True"],
    when: "Pods are ready, and mail is taken and delivered.",
    next: "",
  },
  SelfSigned: {
    kinds: ["SmtpRelay"],
    on: ["Ready=True"],
    when: "The relay works, with a certificate made by the operator that clients have no reason to trust.",
    next: "Set spec.certificate.secretRef to a certificate for spec.hostname, or let clients trust tls.crt of the Secret RELAY-tls-self-signed.",
  },
  ScaledToZero: {
    kinds: ["SmtpRelay"],
    on: ["Ready=True"],
    when: "spec.replicas is 0: no pod runs, no mail is taken, as asked.",
    next: "Raise spec.replicas to take mail again.",
  },
  Starting: {
    kinds: ["SmtpRelay", "IpPool"],
    on: ["Ready=False", "Ready=Unknown", "Reconciling=True"],
    when: "The object is new, and its pods or checks are being started for the first time.",
    next: "Wait; look at the pods' events if it lasts minutes.",
  },
  PodsNotReady: {
    kinds: ["SmtpRelay"],
    on: ["Ready=False", "Reconciling=True", "ConfigApplied=Unknown"],
    when: "Fewer pods are ready than are needed to take mail.",
    next: "Look at the events and the log of the pods the message names.",
  },
  ReportsMissing: {
    kinds: ["SmtpRelay", "IpPool"],
    on: [
      "AddressesBound=Unknown",
      "Ready=Unknown",
      "ConfigApplied=Unknown",
      "QueueHealthy=Unknown",
      "Draining=Unknown",
    ],
    when: "Pods are there but did not answer the operator's request for a report.",
    next: "See whether a network policy keeps the operator from the pods' status port; mail is not affected.",
  },
  Paused: {
    kinds: ["SmtpRelay"],
    on: ["Ready=True", "Paused=True", "QueueHealthy=False"],
    when: "spec.paused is true: mail is taken and kept.",
    next: "Set spec.paused to false to deliver what waits.",
  },
  Running: {
    kinds: ["SmtpRelay"],
    on: ["Paused=False", "Draining=False"],
    when: "Delivery runs and no pod is leaving.",
    next: "",
  },
  Draining: {
    kinds: ["SmtpRelay"],
    on: ["Draining=True", "Reconciling=True", "Ready=False"],
    when: "Pods leave: they take no mail and deliver what they hold before they stop.",
    next: "Wait until they are empty; `smtp-relay queue` shows what they still hold.",
  },

  // Configuration.
  AllReplicas: {
    kinds: ["SmtpRelay"],
    on: ["ConfigApplied=True"],
    when: "Every pod reported the current revision.",
    next: "",
  },
  ConfigPending: {
    kinds: ["SmtpRelay"],
    on: ["ConfigApplied=False", "ConfigApplied=Unknown", "Reconciling=True", "Ready=False"],
    when: "A pod has not loaded the current revision yet; a mount may take a minute to follow.",
    next: "Wait; after a few minutes look at the pod's log.",
  },
  ConfigRefused: {
    kinds: ["SmtpRelay"],
    on: ["ConfigApplied=False", "Stalled=True"],
    when: "A pod could not use the current revision and keeps the last good one; the message says why.",
    next: "Undo the change the message names. If relay and operator differ in version, finish the upgrade.",
  },

  // What a relay names.
  PoolMissing: {
    kinds: ["SmtpRelay"],
    on: ["Ready=False", "Stalled=True"],
    when: "The relay or one of its routes names an IpPool that does not exist in the namespace, or that cannot be read.",
    next: "Create the pool or correct the name; of one that cannot be read see its own conditions.",
  },
  PoolBlocked: {
    kinds: ["SmtpRelay"],
    on: ["Ready=False", "QueueHealthy=False"],
    when: "The pool exists, but none of its addresses may send.",
    next: "Read the conditions of the pool.",
  },
  NoAddress: {
    kinds: ["SmtpRelay"],
    on: ["Ready=False", "QueueHealthy=False"],
    when: "A pod has no address to send from: there are more replicas than addresses, or the others are paused.",
    next: "Add addresses to the pool or lower spec.replicas.",
  },
  RouteInvalid: {
    kinds: ["SmtpRelay"],
    on: ["Ready=False", "Stalled=True"],
    when: "A route cannot be used as written; the message names it and says why.",
    next: "Correct the route.",
  },
  CertificateMissing: {
    kinds: ["SmtpRelay"],
    on: ["Ready=True", "Ready=False", "Stalled=True"],
    when: "The Secret in spec.certificate.secretRef does not exist.",
    next: "Create it (type kubernetes.io/tls) or correct the name.",
  },
  CertificateInvalid: {
    kinds: ["SmtpRelay"],
    on: ["Ready=True", "Ready=False", "Stalled=True"],
    when: "The certificate cannot be used: unreadable, expired, or its key does not fit.",
    next: "Renew it; the message says what is wrong.",
  },
  SecretMissing: {
    kinds: ["SmtpRelay"],
    on: ["Ready=True", "Ready=False", "Stalled=True"],
    when: "A Secret that a credential or a smart host names does not exist.",
    next: "Create it or correct the name; the other credentials work meanwhile.",
  },
  SecretInvalid: {
    kinds: ["SmtpRelay", "SendingDomain"],
    on: ["Ready=True", "Ready=False", "Stalled=True", "KeysIssued=False"],
    when: "A Secret does not hold what it should under the names it should.",
    next: "Add the entries the message names.",
  },
  DomainUnknown: {
    kinds: ["SmtpRelay"],
    on: ["Ready=True", "Ready=False"],
    when: "A credential is bound to a domain for which this relay has no SendingDomain.",
    next: "Create the SendingDomain or correct spec.auth.credentials[].domains.",
  },

  // The queue.
  QueueFlowing: {
    kinds: ["SmtpRelay"],
    on: ["QueueHealthy=True"],
    when: "Mail leaves without unusual delay.",
    next: "",
  },
  QueueUnknown: {
    kinds: ["SmtpRelay"],
    on: ["QueueHealthy=Unknown"],
    when: "No pod has reported its queue yet.",
    next: "Wait for the pods; see ConfigApplied and Ready.",
  },
  ProviderBackoff: {
    kinds: ["SmtpRelay"],
    on: ["QueueHealthy=False"],
    when: "A provider pushed back and most of what waits waits for it.",
    next: "Read the reply in the message; `smtp-relay explain` shows which rule binds and until when.",
  },
  AllowanceUsed: {
    kinds: ["SmtpRelay"],
    on: ["QueueHealthy=False"],
    when: "The addresses have used up what their warm-up allows today.",
    next: "Wait for the next UTC day, or add addresses that are warm.",
  },
  SpoolFailed: {
    kinds: ["SmtpRelay"],
    on: ["QueueHealthy=False", "Ready=False"],
    when: "A pod cannot write its spool; it answers submissions with 4xx and is not ready.",
    next: "Make room on the volume or replace it; the message gives the error.",
  },

  // Sending domains.
  RelayMissing: {
    kinds: ["SendingDomain"],
    on: ["Ready=False", "Stalled=True"],
    when: "spec.relayRef names an SmtpRelay that does not exist in the namespace, or that cannot be read.",
    next: "Create the relay or correct the name; of one that cannot be read see its own conditions.",
  },
  DomainClaimed: {
    kinds: ["SendingDomain"],
    on: ["Ready=False", "Stalled=True"],
    when: "An older SendingDomain has the same domain; that one keeps it.",
    next: "Delete one of the two; the message names the other.",
  },
  KeysIssued: {
    kinds: ["SendingDomain"],
    on: ["KeysIssued=True"],
    when: "Keys of both algorithms exist.",
    next: "",
  },
  KeysPending: {
    kinds: ["SendingDomain"],
    on: ["KeysIssued=False", "Ready=False", "Reconciling=True"],
    when: "Keys are being made.",
    next: "Wait; it takes seconds.",
  },
  KeyRotation: {
    kinds: ["SendingDomain"],
    on: ["KeysIssued=True", "Reconciling=True"],
    when: "New keys wait for their records to be seen in DNS; the present ones sign until then.",
    next: "Publish the records of the new selectors; status.records has them.",
  },
  RecordsVerified: {
    kinds: ["SendingDomain"],
    on: ["DnsVerified=True"],
    when: "Every record was seen as expected.",
    next: "",
  },
  RecordsMissing: {
    kinds: ["SendingDomain"],
    on: ["DnsVerified=False", "Ready=False", "Ready=True", "Reconciling=True"],
    when: "At least one record is not in DNS. Ready stays True with verification: Warn, or while older keys still sign.",
    next: "Publish the records that status.records marks Missing.",
  },
  RecordsDiffer: {
    kinds: ["SendingDomain"],
    on: ["DnsVerified=False", "Ready=False", "Ready=True", "Reconciling=True"],
    when: "A record exists but says something else than it must.",
    next: "Correct it; status.records shows expected and seen.",
  },
  RecordsUnchecked: {
    kinds: ["SendingDomain", "IpPool"],
    on: [
      "DnsVerified=Unknown",
      "AddressesVerified=Unknown",
      "Ready=Unknown",
      "Ready=False",
      "Reconciling=True",
    ],
    when: "DNS has not been asked yet.",
    next: "Wait; the first check follows within a minute.",
  },
  DnsUnreachable: {
    kinds: ["SendingDomain", "IpPool"],
    on: ["DnsVerified=Unknown", "AddressesVerified=Unknown", "Ready=Unknown", "Ready=False", "Ready=True"],
    when: "The name servers did not answer or answered with an error. What was proven before stays in force.",
    next: "See whether the operator reaches DNS and whether the zone's servers answer.",
  },

  // Pools and addresses.
  AddressesPresent: {
    kinds: ["IpPool"],
    on: ["AddressesBound=True"],
    when: "Every pod could bind the addresses it sends from.",
    next: "",
  },
  AddressMissing: {
    kinds: ["IpPool"],
    on: ["AddressesBound=False", "Ready=False"],
    when: "spec.egress is Bound, and a pod cannot bind an address; the message names both, and the pod that has it if one does, to which it goes by itself. Or a pod has none of the addresses.",
    next: "Bring the address to the pod's interface (see spec.egress), or set spec.egress to Translated. It is used as soon as it is there.",
  },
  AddressesTranslated: {
    kinds: ["IpPool"],
    on: ["AddressesBound=Unknown"],
    when: "spec.egress is Translated: which address mail leaves from is the network's to decide, and nobody here sees it.",
    next: "Give the pods in status.addresses[].pods the address in your egress policy, and look at a received message.",
  },
  Verified: {
    kinds: ["SendingDomain", "IpPool"],
    on: ["Ready=True", "AddressesVerified=True"],
    when: "Everything that has to be proven was proven.",
    next: "",
  },
  ReverseDnsFailed: {
    kinds: ["IpPool"],
    on: ["AddressesVerified=False", "Ready=False", "Ready=True", "Stalled=True"],
    when: "The reverse name of an address is not its ehloName, or that name does not resolve to the address.",
    next: "Set PTR and A/AAAA as status.records says; the owner of the address sets the PTR.",
  },
  AddressClaimed: {
    kinds: ["IpPool"],
    on: ["AddressesVerified=False", "Ready=False", "Ready=True", "Stalled=True"],
    when: "An older IpPool holds the same address; it sends for that one only.",
    next: "Remove the address from one of the pools; the message names the other.",
  },
  ChecksOff: {
    kinds: ["IpPool"],
    on: ["AddressesVerified=Unknown"],
    when: "spec.checks asks for no proof.",
    next: "",
  },
  AllPaused: {
    kinds: ["IpPool"],
    on: ["Ready=False"],
    when: "Every address that could send is paused in the spec.",
    next: "Set the state of an address to Active.",
  },
  Warming: {
    kinds: ["IpPool"],
    on: ["WarmingUp=True", "Ready=True"],
    when: "At least one address sends within the limit of its ramp's stage.",
    next: "Nothing; status.addresses[].warmup shows stage, use and what the next stage needs.",
  },
  Warm: {
    kinds: ["IpPool"],
    on: ["WarmingUp=False", "Ready=True"],
    when: "No address is limited by a ramp.",
    next: "",
  },
} as const satisfies Record<string, ReasonMeaning>;

export type Reason = keyof typeof reasons;
