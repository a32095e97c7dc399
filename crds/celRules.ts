/**
 * Rules across fields and rules about change, each written once, in CEL, with the message a person reads.
 * customResourceDefinition.ts puts them into the CRDs, where the API server runs them; judge.ts runs the
 * same ones in local mode. What CEL cannot see (other objects, Secrets, DNS) is a condition instead.
 *
 * The language is kept to what Kubernetes 1.29 knows. Defaults are filled in before a rule runs; a field
 * without one needs has(). A rule that names `oldSelf` runs on updates only.
 */
import type { KindName } from "./group.ts";
import {
  ipv4,
  ipv4Network,
  ipv6,
  ipv6Network,
  labelValue,
  lowPort,
  notUnicast,
  qualifiedName,
} from "./celPatterns.ts";

export interface CelRule {
  readonly kind: KindName;
  /** Where it stands: "" is the object, "spec.listeners[]" is every listener. */
  readonly path: string;
  readonly rule: string;
  readonly message: string;
  /** The field to blame, from `path`; default: the value at `path`. */
  readonly fieldPath?: string;
}

/** Names of children are at most 22 characters longer; a StatefulSet's name has room for 52. */
export const RELAY_NAME_MAX_LENGTH = 40;
/** Names of domains and pools stand in label values. */
export const LABEL_MAX_LENGTH = 63;

const relayRules: readonly CelRule[] = [
  {
    kind: "SmtpRelay",
    path: "",
    rule: `size(self.metadata.name) <= ${RELAY_NAME_MAX_LENGTH}`,
    message: `the name of an SmtpRelay must have at most ${RELAY_NAME_MAX_LENGTH} characters, because its pods and Secrets are named after it`,
    fieldPath: ".metadata.name",
  },
  {
    kind: "SmtpRelay",
    path: "",
    rule: "self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
    message:
      "the name of an SmtpRelay must start with a letter and have no dots, because its Service bears it (RFC 1035)",
    fieldPath: ".metadata.name",
  },
  {
    kind: "SmtpRelay",
    path: "spec",
    rule: "has(self.poolRef) || self.routes.exists(r, !has(r.match))",
    message:
      "`poolRef` is required unless the last route has no `match`, or mail that no route takes has no way out",
  },
  {
    kind: "SmtpRelay",
    path: "spec.listeners",
    rule: `self.all(a, self.exists_one(b, ${lowPort("a")} == ${lowPort("b")}))`,
    message:
      "each listener needs a port of its own; ports below 1024 are opened a thousand higher, so that 587 and 1587 are one port",
  },
  {
    kind: "SmtpRelay",
    path: "spec.listeners[]",
    rule: "self.port != 8025",
    message: "port 8025 is taken by the relay's health checks and metrics",
    fieldPath: ".port",
  },
  {
    kind: "SmtpRelay",
    path: "spec.listeners[]",
    rule: "self.name != 'status'",
    message: "the name `status` is taken by the port of the relay's health checks and metrics",
    fieldPath: ".name",
  },
  {
    kind: "SmtpRelay",
    path: "spec.listeners[]",
    rule: "self.auth != 'Optional' || size(self.trustedNetworks) > 0",
    message: "`auth: Optional` needs `trustedNetworks`: only clients in them may submit without AUTH",
    fieldPath: ".trustedNetworks",
  },
  {
    kind: "SmtpRelay",
    path: "spec.listeners[]",
    rule: "self.auth == 'Optional' || size(self.trustedNetworks) == 0",
    message: "`trustedNetworks` has no effect with `auth: Required`; set `auth: Optional` or leave it out",
    fieldPath: ".trustedNetworks",
  },
  {
    kind: "SmtpRelay",
    path: "spec.listeners[].trustedNetworks",
    rule: `self.all(n, n.matches('${ipv4Network}') || n.matches('${ipv6Network}'))`,
    message:
      "every network must be an IPv4 network of /8 or smaller or an IPv6 network of /32 or smaller, such as 10.20.0.0/16 or fd00:1::/64; wider ones make an open relay",
  },
  {
    kind: "SmtpRelay",
    path: "spec.auth.credentials[]",
    rule: "!(self.name in ['runtime', 'tls-self-signed', 'dkim'])",
    message:
      "`runtime`, `tls-self-signed` and `dkim` are taken: the Secret of the credential would be one of the operator's own",
    fieldPath: ".name",
  },
  {
    kind: "SmtpRelay",
    path: "spec.auth.credentials",
    rule: "self.all(a, !has(a.secretRef) || self.exists_one(b, has(b.secretRef) && b.secretRef.name == a.secretRef.name))",
    message: "two credentials cannot share a Secret: each needs a `secretRef` of its own, or none",
  },
  {
    kind: "SmtpRelay",
    path: "spec.storage",
    rule: "self.size == oldSelf.size",
    message:
      "cannot be changed: volume claims of a StatefulSet are fixed when it is made; grow the claims themselves, or move to a new SmtpRelay",
    fieldPath: ".size",
  },
  {
    kind: "SmtpRelay",
    path: "spec.storage",
    rule: "has(self.className) == has(oldSelf.className) && (!has(self.className) || self.className == oldSelf.className)",
    message:
      "cannot be changed: volume claims of a StatefulSet are fixed when it is made; move to a new SmtpRelay instead",
    fieldPath: ".className",
  },
  {
    kind: "SmtpRelay",
    path: "spec.podTemplate.resources",
    // What is no quantity is the schema's to refuse: int() would fail on it.
    rule: "!has(self.requests) || !has(self.limits) || !has(self.requests.cpu) || !has(self.limits.cpu) || !self.requests.cpu.matches('^[1-9][0-9]*m?$') || !self.limits.cpu.matches('^[1-9][0-9]*m?$') || (self.requests.cpu.endsWith('m') ? int(self.requests.cpu.substring(0, size(self.requests.cpu) - 1)) : int(self.requests.cpu) * 1000) <= (self.limits.cpu.endsWith('m') ? int(self.limits.cpu.substring(0, size(self.limits.cpu) - 1)) : int(self.limits.cpu) * 1000)",
    message: "the requested CPU must be at most `limits.cpu`",
    fieldPath: ".requests.cpu",
  },
  {
    kind: "SmtpRelay",
    path: "spec.podTemplate.resources",
    rule: "!has(self.requests) || !has(self.limits) || !has(self.requests.memory) || !has(self.limits.memory) || !self.requests.memory.matches('^[1-9][0-9]*(Mi|Gi)$') || !self.limits.memory.matches('^[1-9][0-9]*(Mi|Gi)$') || int(self.requests.memory.substring(0, size(self.requests.memory) - 2)) * (self.requests.memory.endsWith('Gi') ? 1024 : 1) <= int(self.limits.memory.substring(0, size(self.limits.memory) - 2)) * (self.limits.memory.endsWith('Gi') ? 1024 : 1)",
    message: "the requested memory must be at most `limits.memory`",
    fieldPath: ".requests.memory",
  },
  {
    kind: "SmtpRelay",
    path: "spec.podTemplate.tolerations[]",
    rule: "self.operator != 'Exists' || !has(self.value)",
    message: "`value` has no effect with `operator: Exists`; leave it out",
    fieldPath: ".value",
  },
  // Of these Kubernetes would refuse the pods' template, where nobody looks.
  {
    kind: "SmtpRelay",
    path: "spec.podTemplate.annotations",
    rule: `self.all(key, key.matches('${qualifiedName}'))`,
    message: "every annotation needs a key such as mail or example.com/mail",
  },
  {
    kind: "SmtpRelay",
    path: "spec.podTemplate.nodeSelector",
    rule: `self.all(key, key.matches('${qualifiedName}'))`,
    message: "every label needs a key such as mail or example.com/mail",
  },
  {
    kind: "SmtpRelay",
    path: "spec.podTemplate.nodeSelector",
    rule: `self.all(key, self[key].matches('${labelValue}'))`,
    message: "a label's value is at most 63 letters, digits and inner hyphens, underscores or dots",
  },
  {
    kind: "SmtpRelay",
    path: "spec.queue",
    rule: "self.expireAfterSeconds >= self.retry.firstDelaySeconds",
    message: "must be at least `retry.firstDelaySeconds`, or nothing is ever tried twice",
    fieldPath: ".expireAfterSeconds",
  },
  {
    kind: "SmtpRelay",
    path: "spec",
    rule: "self.auth.credentials.all(c, !has(c.queueClass) || c.queueClass == 'default' || self.queue.classes.exists(q, q.name == c.queueClass))",
    message:
      "every `queueClass` of a credential must be the name of a class of `queue.classes`, or `default`",
    fieldPath: ".auth.credentials",
  },
  {
    kind: "SmtpRelay",
    path: "spec.queue",
    rule: "self.classes.all(c, (has(c.expireAfterSeconds) ? c.expireAfterSeconds : self.expireAfterSeconds) >= (has(c.retry) && has(c.retry.firstDelaySeconds) ? c.retry.firstDelaySeconds : self.retry.firstDelaySeconds))",
    message: "a class must expire no sooner than its first retry, or nothing of it is ever tried twice",
    fieldPath: ".classes",
  },
  {
    kind: "SmtpRelay",
    path: "spec.queue",
    rule: "self.classes.all(c, (has(c.retry) && has(c.retry.firstDelaySeconds) ? c.retry.firstDelaySeconds : self.retry.firstDelaySeconds) <= (has(c.retry) && has(c.retry.longestDelaySeconds) ? c.retry.longestDelaySeconds : self.retry.longestDelaySeconds))",
    message:
      "the first retry delay of a class must be at most its longest one; what a class leaves out is `queue.retry`'s",
    fieldPath: ".classes",
  },
  {
    kind: "SmtpRelay",
    path: "spec.queue.retry",
    rule: "self.firstDelaySeconds <= self.longestDelaySeconds",
    message: "must be at most `longestDelaySeconds`",
    fieldPath: ".firstDelaySeconds",
  },
  {
    kind: "SmtpRelay",
    path: "spec.routes",
    rule: "self.all(r, has(r.match) || r.name == self[size(self) - 1].name)",
    message: "a route without `match` takes everything, so it must be the last one and the only one",
  },
  {
    kind: "SmtpRelay",
    path: "spec.routes[].to",
    rule: "has(self.pool) != has(self.smarthost)",
    message: "exactly one of `pool` and `smarthost` is required",
  },
];

const domainRules: readonly CelRule[] = [
  {
    kind: "SendingDomain",
    path: "",
    rule: `size(self.metadata.name) <= ${LABEL_MAX_LENGTH}`,
    message: `the name of a SendingDomain must have at most ${LABEL_MAX_LENGTH} characters, because labels bear it; the domain itself may be longer`,
    fieldPath: ".metadata.name",
  },
  {
    kind: "SendingDomain",
    path: "spec.domain",
    rule: "self == oldSelf",
    message: "cannot be changed: keys and DNS records belong to the domain; make a new SendingDomain instead",
  },
];

const poolRules: readonly CelRule[] = [
  {
    kind: "IpPool",
    path: "",
    rule: `size(self.metadata.name) <= ${LABEL_MAX_LENGTH}`,
    message: `the name of an IpPool must have at most ${LABEL_MAX_LENGTH} characters, because labels bear it`,
    fieldPath: ".metadata.name",
  },
  {
    kind: "IpPool",
    path: "spec.addresses",
    rule: "self.all(a, self.exists_one(b, b.ip == a.ip))",
    message: "each `ip` may occur only once",
  },
  {
    kind: "IpPool",
    path: "spec.addresses[]",
    rule: `self.ip.matches('${ipv4}') || self.ip.matches('${ipv6}')`,
    message:
      "must be an IPv4 or IPv6 address in its usual form, such as 192.0.2.10 or 2001:db8::10 (lower case, no leading zeros)",
    fieldPath: ".ip",
  },
  {
    kind: "IpPool",
    path: "spec.addresses[]",
    rule: `!self.ip.matches('${notUnicast}')`,
    message:
      "must be the address of one machine, not an unspecified, multicast, reserved or broadcast address",
    fieldPath: ".ip",
  },
  {
    kind: "IpPool",
    path: "spec.warmup",
    rule: "self.ramp != 'Custom' || (has(self.dailyLimits) && size(self.dailyLimits) > 0)",
    message: "`ramp: Custom` needs `dailyLimits`, one number a stage",
    fieldPath: ".dailyLimits",
  },
  {
    kind: "IpPool",
    path: "spec.warmup",
    rule: "self.ramp == 'Custom' || !has(self.dailyLimits)",
    message: "`dailyLimits` has no effect unless `ramp` is Custom; leave it out",
    fieldPath: ".dailyLimits",
  },
  {
    kind: "IpPool",
    path: "spec.warmup.dailyLimits",
    rule: "self.isSorted()",
    message: "must not fall from one stage to the next",
  },
];

export const celRules: readonly CelRule[] = [...relayRules, ...domainRules, ...poolRules];

/** Whether the rule compares with the former object, and so runs on updates only. */
export function isTransitionRule(rule: CelRule): boolean {
  return /\boldSelf\b/.test(rule.rule);
}
