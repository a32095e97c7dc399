/**
 * Every child's name, in one place: who looks for an object of ours asks here, and a clash shows on one
 * screen.
 */

/** Children of the SmtpRelay `relay`. */
export function relayNames(relay: string) {
  return {
    statefulSet: relay,
    /** Headless: gives each pod a name. */
    podService: `${relay}-pods`,
    /** What applications connect to. */
    clientService: relay,
    /** relay.json and every file it names, mounted as one folder so that a swap is consistent. */
    runtimeSecret: `${relay}-runtime`,
    networkPolicy: relay,
    disruptionBudget: relay,
    /** Of the pods; bound to nothing. */
    serviceAccount: relay,
    selfSignedSecret: `${relay}-tls-self-signed`,
    /** Connection settings of one credential. */
    credentialSecret: (credential: string) => `${relay}-${credential}`,
    pod: (ordinal: number) => `${relay}-${ordinal}`,
  } as const;
}

/** Secret with the DKIM private keys of the SendingDomain `domain` (its object name). */
export function dkimSecretName(domain: string): string {
  return `${domain}-dkim`;
}

/** Ordinal of a pod of this StatefulSet; null when it is none. */
export function podOrdinal(statefulSet: string, pod: string): number | null {
  const rest = pod.startsWith(`${statefulSet}-`) ? pod.slice(statefulSet.length + 1) : "";
  return /^(0|[1-9][0-9]{0,4})$/.test(rest) ? Number(rest) : null;
}

/** The relay whose pod has this name; null when it is no pod of a relay. */
export function relayOfPod(pod: string): string | null {
  const relay = pod.slice(0, pod.lastIndexOf("-"));
  return relay !== "" && podOrdinal(relayNames(relay).statefulSet, pod) !== null ? relay : null;
}

/** How the ledger of a pool names a pod: pools are seen from every namespace. */
export function podKey(namespace: string, pod: string): string {
  return `${namespace}/${pod}`;
}

/**
 * An address of a pool as a relay's source. Two pools of one relay may both call an address `a`, and use of
 * allowances is counted by this name, so that it must not change when a second pool joins.
 */
export function sourceName(pool: string, address: string): string {
  return `${pool}/${address}`;
}
