/** Rows for the CEL rules: each rule both ways, one change to a good manifest at a time. */
import { celRules } from "../../../crds/celRules.ts";
import type { KindName } from "../../../crds/group.ts";
import { changed, full, type Manifest, minimal } from "./manifests.ts";
import type { Verdict } from "./verdict.ts";

/** The rule whose message begins so; a typing error here is an error at once. */
function ruleStarting(kind: KindName, start: string): { readonly at: string; readonly rule: string } {
  const found = celRules.filter((rule) => rule.kind === kind && rule.message.startsWith(start));
  const [rule] = found;
  if (rule === undefined || found.length > 1) throw new Error(`${found.length} rules begin with "${start}"`);
  return { at: `${rule.path}${rule.fieldPath ?? ""}`.replace(/^\./, ""), rule: rule.message };
}

interface Change {
  readonly because: string;
  readonly base: Manifest;
  readonly changes: Readonly<Record<string, unknown>>;
  readonly old?: Manifest;
  /** Start of the message of the rule that refuses it. */
  readonly rule?: string;
  /** Where list items stand: "spec.listeners[1].port". Default: the path of the rule. */
  readonly at?: string;
}

function rows(kind: KindName, changes: readonly Change[]): Verdict[] {
  return changes.map(({ because, base, changes: fields, old, rule, at }) => {
    const manifest = Object.entries(fields).reduce((made, [path, value]) => changed(made, path, value), base);
    const found = rule === undefined ? undefined : ruleStarting(kind, rule);
    return {
      because,
      kind,
      manifest,
      ...(old !== undefined && { old }),
      ...(found !== undefined && { refused: { at: at ?? found.at, as: "Invalid", rule: found.rule } }),
    };
  });
}

const { SmtpRelay: relay, SendingDomain: domain, IpPool: pool } = minimal;
const networks = "spec.listeners[0].trustedNetworks";
const wide = "every network must be";

const relayRows = rows("SmtpRelay", [
  {
    because: "as much CPU may be requested as is allowed, in whichever form",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.resources.requests.cpu": "2000m" },
  },
  {
    because: "more CPU requested than allowed is refused",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.resources.requests.cpu": "2001m" },
    rule: "the requested CPU",
  },
  {
    because: "as much memory may be requested as is allowed, in whichever form",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.resources.requests.memory": "1024Mi" },
  },
  {
    because: "more memory requested than allowed is refused",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.resources.requests.memory": "1025Mi" },
    rule: "the requested memory",
  },
  {
    because: "requests alone are fine",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.resources.limits": undefined },
  },
  {
    because: "any value of a taint is tolerated with Exists",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.tolerations": [{ key: "example.com/mail", operator: "Exists" }] },
  },
  {
    because: "a value beside Exists is refused",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.tolerations[0].operator": "Exists" },
    rule: "`value` has no effect",
    at: "spec.podTemplate.tolerations[0].value",
  },
  {
    because: "an annotation of the pods may be long, its key a bare name",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.annotations": { networks: `[${" ".repeat(8000)}]` } },
  },
  {
    because: "an annotation whose key is no name is refused",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.annotations": { "not a name": "x" } },
    rule: "every annotation needs",
    at: "spec.podTemplate.annotations",
  },
  {
    because: "a node's label may be empty",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.nodeSelector": { "node-role.kubernetes.io/mail": "" } },
  },
  {
    because: "a node's label whose key is no name is refused",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.nodeSelector": { "example.com/mail/x": "yes" } },
    rule: "every label needs",
    at: "spec.podTemplate.nodeSelector",
  },
  {
    because: "a node's label whose value is none is refused",
    base: full.SmtpRelay,
    changes: { "spec.podTemplate.nodeSelector": { mail: "with space" } },
    rule: "a label's value",
    at: "spec.podTemplate.nodeSelector",
  },
  {
    because: "a relay's name may have 40 characters",
    base: relay,
    changes: { "metadata.name": "m".repeat(40) },
  },
  {
    because: "a relay's name of 41 characters is refused",
    base: relay,
    changes: { "metadata.name": "m".repeat(41) },
    rule: "the name of an SmtpRelay must have",
  },
  {
    because: "a relay's name with a dot is refused",
    base: relay,
    changes: { "metadata.name": "mail.eu" },
    rule: "the name of an SmtpRelay must start",
  },
  {
    because: "a relay's name that starts with a digit is refused",
    base: relay,
    changes: { "metadata.name": "1mail" },
    rule: "the name of an SmtpRelay must start",
  },
  {
    because: "a relay without a pool and without a route for the rest is refused",
    base: full.SmtpRelay,
    changes: { "spec.poolRef": undefined, "spec.routes[1]": undefined },
    rule: "`poolRef` is required",
  },
  {
    because: "a relay without a pool is fine when its last route takes the rest",
    base: full.SmtpRelay,
    changes: { "spec.poolRef": undefined },
  },
  {
    because: "two listeners of one port are refused",
    base: full.SmtpRelay,
    changes: { "spec.listeners[1].port": 2525 },
    rule: "each listener needs a port",
  },
  {
    because: "587 and 1587 are one port in the pod",
    base: full.SmtpRelay,
    changes: { "spec.listeners[0].port": 1587 },
    rule: "each listener needs a port",
  },
  {
    because: "1024 and 2024 are two ports",
    base: full.SmtpRelay,
    changes: { "spec.listeners[0].port": 1024, "spec.listeners[1].port": 2024 },
  },
  {
    because: "the port of the status server is refused",
    base: full.SmtpRelay,
    changes: { "spec.listeners[1].port": 8025 },
    rule: "port 8025 is taken",
    at: "spec.listeners[1].port",
  },
  {
    because: "the name of the status server's port is refused",
    base: full.SmtpRelay,
    changes: { "spec.listeners[1].name": "status" },
    rule: "the name `status` is taken",
    at: "spec.listeners[1].name",
  },
  ...["runtime", "tls-self-signed", "dkim"].map((name): Change => ({
    because: `a credential named ${name}, like a Secret of the operator's, is refused`,
    base: full.SmtpRelay,
    changes: { "spec.auth.credentials[1].name": name },
    rule: "`runtime`, `tls-self-signed` and `dkim` are taken",
    at: "spec.auth.credentials[1].name",
  })),
  {
    because: "optional AUTH for everybody is refused",
    base: full.SmtpRelay,
    changes: { [networks]: undefined },
    rule: "`auth: Optional` needs",
    at: networks,
  },
  {
    because: "networks beside required AUTH are refused, having no effect",
    base: full.SmtpRelay,
    changes: { "spec.listeners[1].trustedNetworks": ["10.0.0.0/8"] },
    rule: "`trustedNetworks` has no effect",
    at: "spec.listeners[1].trustedNetworks",
  },
  {
    because: "the widest networks are /8 and /32",
    base: full.SmtpRelay,
    changes: { [networks]: ["10.0.0.0/8", "2001:db8::/32", "::1/128", "192.0.2.10/32"] },
  },
  ...[
    ["0.0.0.0/0", "the whole of IPv4"],
    ["10.0.0.0/7", "a network of /7"],
    ["::/0", "the whole of IPv6"],
    ["2000::/31", "an IPv6 network of /31"],
    ["::ffff:0:0/96", "the whole of IPv4 in IPv6"],
    ["0:0:0:0:0:ffff::/96", "the whole of IPv4 in IPv6, written out"],
    ["64:ff9b::/96", "the whole of IPv4 behind NAT64"],
    ["10.20.0.0/33", "a prefix longer than an address"],
    ["10.20.0/16", "an address of three parts"],
    ["10.20.0.256/16", "an octet of 256"],
    ["10.020.0.0/16", "an octet with a leading zero"],
    ["fd00:1::2::3/64", "an IPv6 network with two gaps"],
    ["fd00:1:2:3:4:5:6/64", "an IPv6 network of seven groups"],
    ["fd00::/129", "an IPv6 prefix longer than an address"],
  ].map(([network, what]): Change => ({
    because: `no open relay: ${what} (${network}) is not trusted`,
    base: full.SmtpRelay,
    changes: { [networks]: ["10.20.0.0/16", network] },
    rule: wide,
    at: networks,
  })),
  {
    because: "two credentials with one Secret are refused",
    base: full.SmtpRelay,
    changes: { "spec.auth.credentials[1].secretRef": { name: "crm-smtp" } },
    rule: "two credentials cannot share",
  },
  {
    because: "two credentials with Secrets of their own are accepted",
    base: full.SmtpRelay,
    changes: { "spec.auth.credentials[1].secretRef": { name: "app-smtp" } },
  },
  {
    because: "the size of the queue's volume cannot change",
    base: relay,
    old: relay,
    changes: { "spec.storage.size": "20Gi" },
    rule: "cannot be changed: volume claims of a StatefulSet are fixed when it is made; grow",
  },
  {
    because: "leaving the size out means its default, not the former size",
    base: full.SmtpRelay,
    old: full.SmtpRelay,
    changes: { "spec.storage.size": undefined },
    rule: "cannot be changed: volume claims of a StatefulSet are fixed when it is made; grow",
  },
  {
    because: "the storage class cannot be taken away",
    base: full.SmtpRelay,
    old: full.SmtpRelay,
    changes: { "spec.storage.className": undefined },
    rule: "cannot be changed: volume claims of a StatefulSet are fixed when it is made; move",
  },
  {
    because: "the storage class cannot be added",
    base: relay,
    old: relay,
    changes: { "spec.storage.className": "fast-ssd" },
    rule: "cannot be changed: volume claims of a StatefulSet are fixed when it is made; move",
  },
  {
    because: "the storage class cannot change",
    base: full.SmtpRelay,
    old: full.SmtpRelay,
    changes: { "spec.storage.className": "slow-disk" },
    rule: "cannot be changed: volume claims of a StatefulSet are fixed when it is made; move",
  },
  {
    because: "everything else of a relay may change",
    base: full.SmtpRelay,
    old: full.SmtpRelay,
    changes: { "spec.replicas": 1, "spec.hostname": "smtp.example.com", "spec.routes": [] },
  },
  {
    because: "mail that expires before its second attempt is refused",
    base: relay,
    changes: { "spec.queue": { expireAfterSeconds: 300, retry: { firstDelaySeconds: 301 } } },
    rule: "must be at least `retry.firstDelaySeconds`",
  },
  {
    because: "mail that expires just when its second attempt is due is accepted",
    base: relay,
    changes: { "spec.queue": { expireAfterSeconds: 300, retry: { firstDelaySeconds: 300 } } },
  },
  {
    because: "a first delay longer than the longest is refused",
    base: relay,
    changes: { "spec.queue": { retry: { firstDelaySeconds: 601, longestDelaySeconds: 600 } } },
    rule: "must be at most `longestDelaySeconds`",
  },
  {
    because: "a first delay over the default of the longest is refused as well",
    base: relay,
    changes: { "spec.queue": { retry: { firstDelaySeconds: 14_401 } } },
    rule: "must be at most `longestDelaySeconds`",
  },
  {
    because: "equal delays are accepted",
    base: relay,
    changes: { "spec.queue": { retry: { firstDelaySeconds: 600, longestDelaySeconds: 600 } } },
  },
  {
    because: "a credential whose class does not exist is refused",
    base: relay,
    changes: {
      "spec.auth": { credentials: [{ name: "app", queueClass: "bulk" }] },
      "spec.queue": { classes: [{ name: "other" }] },
    },
    rule: "every `queueClass` of a credential must be the name",
  },
  {
    because: "a credential may be in a class that is there, or in the default one that always is",
    base: relay,
    changes: {
      "spec.auth": {
        credentials: [
          { name: "app", queueClass: "bulk" },
          { name: "crm", queueClass: "default" },
        ],
      },
      "spec.queue": { classes: [{ name: "bulk", priority: "Low" }] },
    },
  },
  {
    because: "a class that expires before its second attempt is refused",
    base: relay,
    changes: {
      "spec.queue": {
        classes: [{ name: "codes", expireAfterSeconds: 300, retry: { firstDelaySeconds: 301 } }],
      },
    },
    rule: "a class must expire no sooner than its first retry",
  },
  {
    because: "a class that expires before the queue's second attempt is refused",
    base: relay,
    changes: {
      "spec.queue": {
        retry: { firstDelaySeconds: 600 },
        classes: [{ name: "codes", expireAfterSeconds: 599 }],
      },
    },
    rule: "a class must expire no sooner than its first retry",
  },
  {
    because: "a class that expires just when its second attempt is due is accepted",
    base: relay,
    changes: {
      "spec.queue": {
        classes: [{ name: "codes", expireAfterSeconds: 300, retry: { firstDelaySeconds: 300 } }],
      },
    },
  },
  {
    because: "a class whose first delay is above the queue's longest is refused",
    base: relay,
    changes: { "spec.queue": { classes: [{ name: "bulk", retry: { firstDelaySeconds: 14_401 } }] } },
    rule: "the first retry delay of a class must be at most its longest one",
  },
  {
    because: "a route for everything before another is refused",
    base: full.SmtpRelay,
    changes: {
      "spec.routes[0].match": undefined,
      "spec.routes[1].match": { recipientDomains: ["a.example"] },
    },
    rule: "a route without `match` takes everything",
  },
  {
    because: "two routes for everything are refused",
    base: full.SmtpRelay,
    changes: { "spec.routes[0].match": undefined },
    rule: "a route without `match` takes everything",
  },
  {
    because: "a single route for everything is accepted",
    base: full.SmtpRelay,
    changes: { "spec.routes[0]": undefined },
  },
  {
    because: "a route with two ways out is refused",
    base: full.SmtpRelay,
    changes: { "spec.routes[0].to.pool": { name: "default" } },
    rule: "exactly one of `pool` and `smarthost`",
    at: "spec.routes[0].to",
  },
  {
    because: "a route without a way out is refused",
    base: full.SmtpRelay,
    changes: { "spec.routes[1].to": {} },
    rule: "exactly one of `pool` and `smarthost`",
    at: "spec.routes[1].to",
  },
]);

const domainRows = rows("SendingDomain", [
  {
    because: "a SendingDomain may be named after its domain, with 63 characters",
    base: domain,
    changes: { "metadata.name": `${"d".repeat(51)}.example.com` },
  },
  {
    because: "a SendingDomain's name of 64 characters is refused",
    base: domain,
    changes: { "metadata.name": `${"d".repeat(52)}.example.com` },
    rule: "the name of a SendingDomain must have",
  },
  {
    because: "the domain of a SendingDomain cannot change",
    base: domain,
    old: domain,
    changes: { "spec.domain": "other.example" },
    rule: "cannot be changed: keys and DNS records",
  },
  {
    because: "a SendingDomain may move to another relay",
    base: domain,
    old: domain,
    changes: { "spec.relayRef.name": "other" },
  },
]);

const badAddress = "must be an IPv4 or IPv6 address";
const notOneMachine = "must be the address of one machine";

const poolRows = rows("IpPool", [
  {
    because: "a pool's name of 64 characters is refused",
    base: pool,
    changes: { "metadata.name": "p".repeat(64) },
    rule: "the name of an IpPool must have",
  },
  {
    because: "a pool's name of 63 characters is accepted",
    base: pool,
    changes: { "metadata.name": "p".repeat(63) },
  },
  {
    because: "one address under two names is refused",
    base: pool,
    changes: { "spec.addresses[1].ip": "192.0.2.10" },
    rule: "each `ip` may occur only once",
  },
  ...[
    "2001:db8::",
    "2001:db8:1:2:3:4:5:6",
    "2001:db8:0:1::10",
    "fe80::1",
    "::1",
    "127.0.0.2",
    "223.255.255.255",
  ].map((ip): Change => ({
    because: `${ip} is an address`,
    base: pool,
    changes: { "spec.addresses[0].ip": ip },
  })),
  ...[
    "192.0.2.256",
    "192.0.2",
    "192.0.2.010",
    "2001:DB8::10",
    "2001:0db8::10",
    "2001:db8::1::2",
    "2001:db8:1:2:3:4:5",
    "2001:db8:1:2:3:4:5:6:7",
    "2001:db8:1:2:3:4:5:6::",
    "::ffff:192.0.2.10",
    "::",
  ].map((ip): Change => ({
    because: `${ip} is no address, or not in its usual form`,
    base: pool,
    changes: { "spec.addresses[0].ip": ip },
    rule: badAddress,
    at: "spec.addresses[0].ip",
  })),
  ...["0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255", "ff02::1"].map((ip): Change => ({
    because: `${ip} is not the address of one machine`,
    base: pool,
    changes: { "spec.addresses[0].ip": ip },
    rule: notOneMachine,
    at: "spec.addresses[0].ip",
  })),
  {
    because: "a Custom ramp without its limits is refused",
    base: pool,
    changes: { "spec.warmup": { ramp: "Custom" } },
    rule: "`ramp: Custom` needs",
  },
  {
    because: "a Custom ramp of no stages is refused",
    base: pool,
    changes: { "spec.warmup": { ramp: "Custom", dailyLimits: [] } },
    rule: "`ramp: Custom` needs",
  },
  {
    because: "limits beside a named ramp are refused, having no effect",
    base: pool,
    changes: { "spec.warmup.dailyLimits": [100] },
    rule: "`dailyLimits` has no effect",
  },
  {
    because: "a ramp that falls is refused",
    base: pool,
    changes: { "spec.warmup": { ramp: "Custom", dailyLimits: [100, 1000, 999] } },
    rule: "must not fall",
  },
  {
    because: "a ramp that pauses on its way is accepted, and compares numbers as numbers",
    base: pool,
    changes: { "spec.warmup": { ramp: "Custom", dailyLimits: [9, 10, 10, 100] } },
  },
]);

export const ruleVerdicts: readonly Verdict[] = [...relayRows, ...domainRows, ...poolRows];
