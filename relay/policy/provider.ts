/** Which mailbox provider stands behind a set of MX hosts, and what it takes from one source. */
import { otherProvider, providers, type Provider, SMART_HOST_CONNECTIONS } from "./providers.ts";

const bySuffix = new Map(
  providers.flatMap((provider) => provider.mxSuffixes.map((suffix) => [suffix, provider] as const)),
);
const byName = new Map([...providers, otherProvider].map((provider) => [provider.name, provider] as const));

/** The provider of one MX host name; `otherProvider` when no suffix matches. */
export function providerOfHost(host: string): Provider {
  let rest = host.toLowerCase().replace(/\.$/, "");
  for (;;) {
    const found = bySuffix.get(rest);
    if (found !== undefined) return found;
    const dot = rest.indexOf(".");
    if (dot < 0) return otherProvider;
    rest = rest.slice(dot + 1);
  }
}

/** The same for a smart host, which its owner chose: `connections` is his word, where he gave it. */
export function providerOfSmartHost(host: string, connections?: number): Provider {
  const provider = providerOfHost(host);
  if (connections !== undefined) return { ...provider, connections, source: "`connections` of the route" };
  return provider === otherProvider ? smartHost : provider;
}

const smartHost: Provider = { ...otherProvider, connections: SMART_HOST_CONNECTIONS, source: "ours" };

/**
 * The provider of a site: that of its most preferred host (ties: the first name in order). A domain that
 * lists a provider first and a backup of its own is that provider's to judge.
 */
export function providerOfHosts(
  hosts: readonly { readonly name: string; readonly preference: number }[],
): Provider {
  const first = hosts.toSorted((a, b) => a.preference - b.preference || (a.name < b.name ? -1 : 1))[0];
  return first === undefined ? otherProvider : providerOfHost(first.name);
}

/** The provider of this name; `otherProvider` for names unknown here. */
export function providerByName(name: string): Provider {
  return byName.get(name) ?? otherProvider;
}

/**
 * What a limit or a reputation is kept for: the provider, or the site where no provider is known, since
 * strangers do not share an opinion of us.
 */
export function peerKey(provider: string, site: string): string {
  return provider === otherProvider.name ? `site ${site}` : `provider ${provider}`;
}
