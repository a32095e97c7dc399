/** The zod schemas of each kind, by name, with what the kind is for: the table every generator walks. */
import type { z } from "zod";

import type { KindName } from "./group.ts";
import { ipPoolSpec, ipPoolStatus } from "./ipPool.ts";
import { sendingDomainSpec, sendingDomainStatus } from "./sendingDomain.ts";
import { smtpRelaySpec, smtpRelayStatus } from "./smtpRelay.ts";

export interface KindSchemas {
  readonly about: string;
  readonly spec: z.ZodType;
  readonly status: z.ZodType;
}

export const kindSchemas = {
  SmtpRelay: {
    about:
      "SmtpRelay is a fleet of SMTP relays with a durable queue: it takes mail from authenticated clients and delivers it.",
    spec: smtpRelaySpec,
    status: smtpRelayStatus,
  },
  SendingDomain: {
    about:
      "SendingDomain is a domain that sends through a relay: its DKIM keys, the DNS records it needs and what was seen of them.",
    spec: sendingDomainSpec,
    status: sendingDomainStatus,
  },
  IpPool: {
    about:
      "IpPool is a set of addresses mail leaves from, with their EHLO names, warm-up, checks and reputation.",
    spec: ipPoolSpec,
    status: ipPoolStatus,
  },
} as const satisfies Record<KindName, KindSchemas>;
