/** Group, version and kinds of the API: one table that everything else reads. */

export const GROUP = "smtprelay.dev";
export const VERSION = "v1alpha1";
export const API_VERSION = `${GROUP}/${VERSION}` as const;
/** `kubectl get smtp` lists every kind. */
export const CATEGORY = "smtp";

export const kinds = {
  SmtpRelay: { kind: "SmtpRelay", plural: "smtprelays", singular: "smtprelay", shortNames: ["relay"] },
  SendingDomain: {
    kind: "SendingDomain",
    plural: "sendingdomains",
    singular: "sendingdomain",
    shortNames: ["sdom"],
  },
  IpPool: { kind: "IpPool", plural: "ippools", singular: "ippool", shortNames: ["pool"] },
} as const;

export type KindName = keyof typeof kinds;
