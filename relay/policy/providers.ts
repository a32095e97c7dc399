/**
 * Mailbox providers as data: the MX suffixes that make a provider, and how many connections and messages
 * it takes from one address. A provider is known by its MX hosts, never by the recipient's domain: a
 * company's domain at a provider shares that provider's opinion of us.
 *
 * Sources: KumoMTA's shipped shaping (2026-08), provider pages where they name a number, and careful
 * values of our own (marked "ours") where nobody publishes any.
 */

export interface Provider {
  readonly name: string;
  /** Host names or their parents; "google.com" covers "gmail-smtp-in.l.google.com". */
  readonly mxSuffixes: readonly string[];
  /** Connections at once from one source. */
  readonly connections: number;
  readonly messagesPerConnection: number;
  /** Where the two numbers come from. */
  readonly source: string;
}

const kumo = "KumoMTA community shaping, 2026-08";

export const providers: readonly Provider[] = [
  {
    name: "google",
    mxSuffixes: ["google.com", "googlemail.com"],
    connections: 5,
    messagesPerConnection: 50,
    source: `${kumo}; Gmail and Workspace share MX hosts`,
  },
  {
    name: "yahoo",
    mxSuffixes: ["yahoodns.net"],
    connections: 5,
    messagesPerConnection: 20,
    source: `${kumo}; 20 messages a connection: Yahoo sender hub, SMTP error codes`,
  },
  {
    // Consumer mailboxes: outlook.com, hotmail.com, live.com, msn.com.
    name: "microsoft",
    mxSuffixes: ["olc.protection.outlook.com"],
    connections: 5,
    messagesPerConnection: 50,
    source: `${kumo}; Outlook.com policies allow at most 500 connections`,
  },
  {
    name: "office365",
    mxSuffixes: ["mail.protection.outlook.com", "mx.microsoft"],
    connections: 5,
    messagesPerConnection: 50,
    source: `${kumo}; another edge than the consumer one, with budgets of its own`,
  },
  {
    name: "apple",
    mxSuffixes: ["icloud.com", "mail.me.com"],
    connections: 10,
    messagesPerConnection: 5,
    source: kumo,
  },
  {
    name: "orange",
    mxSuffixes: ["orange.fr", "wanadoo.fr"],
    connections: 2,
    messagesPerConnection: 100,
    source: `${kumo}, Momentum rules; a third connection already earns OFR_104`,
  },
  {
    name: "sfr",
    mxSuffixes: ["sfr.fr", "neuf.fr"],
    connections: 2,
    messagesPerConnection: 50,
    source: "ours, from postmaster reports: blocks last two hours",
  },
  {
    name: "laposte",
    mxSuffixes: ["laposte.net"],
    connections: 2,
    messagesPerConnection: 100,
    source: "postmaster reports",
  },
  {
    name: "free",
    mxSuffixes: ["free.fr"],
    connections: 2,
    messagesPerConnection: 20,
    source: "ours; Free counts errors an address",
  },
  {
    name: "gmx",
    mxSuffixes: ["gmx.net", "web.de"],
    connections: 4,
    messagesPerConnection: 20,
    source: kumo,
  },
  {
    name: "comcast",
    mxSuffixes: ["comcast.net"],
    connections: 25,
    messagesPerConnection: 1000,
    source: `${kumo}; 1,000 messages: Comcast postmaster`,
  },
  {
    name: "mimecast",
    mxSuffixes: ["mimecast.com", "mimecast.co.za"],
    connections: 10,
    messagesPerConnection: 100,
    source: kumo,
  },
  {
    name: "proofpoint",
    mxSuffixes: ["pphosted.com", "ppe-hosted.com"],
    connections: 10,
    messagesPerConnection: 50,
    source: "ours",
  },
  {
    name: "barracuda",
    mxSuffixes: ["barracudanetworks.com"],
    connections: 10,
    messagesPerConnection: 15,
    source: kumo,
  },
  { name: "qq", mxSuffixes: ["qq.com"], connections: 4, messagesPerConnection: 8, source: kumo },
  { name: "netease", mxSuffixes: ["netease.com"], connections: 4, messagesPerConnection: 7, source: kumo },
];

/**
 * To a smart host that is no provider's: the owner named it to take all of his mail. Between KumoMTA's 32
 * and the 100 processes that a Postfix takes mail with; with 20 a hundred busy clients outrun delivery.
 */
export const SMART_HOST_CONNECTIONS = 50;

/** Everyone else: each site stands for itself. */
export const otherProvider: Provider = {
  name: "other",
  mxSuffixes: [],
  connections: 10,
  messagesPerConnection: 100,
  source: `${kumo}, default`,
};
