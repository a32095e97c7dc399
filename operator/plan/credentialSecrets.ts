/**
 * The Secrets an application mounts: host, port, username, password and the whole as a URI, as database
 * operators make them. With a self-signed certificate also `ca.crt`, so that a client has something to
 * trust. An existing password is kept, also that of a relay of this name that is gone: delete and re-create
 * (a GitOps prune, a typo) changes no application's login.
 */
import type { ApplyObject } from "../adapters/kubeClient.ts";
import type { RelayWorld } from "../world.ts";
import type { Certificate } from "./certificate.ts";
import { connectionSettings, type ReadCredential } from "./credentials.ts";
import { base64, keptSecret } from "./secrets.ts";

export function credentialSecrets(
  world: RelayWorld,
  credentials: readonly ReadCredential[],
  certificate: Certificate | null,
): readonly ApplyObject[] {
  const { host, port, security } = connectionSettings(world.relay, world.environment);
  return credentials.flatMap(({ ours, username, password, secretName }) => {
    if (!ours || password === null) return [];
    const scheme = security === "TLS" ? "smtps" : "smtp";
    const user = `${encodeURIComponent(username)}:${encodeURIComponent(password)}`;
    const entries: Record<string, string> = {
      host,
      port: String(port),
      username,
      password,
      uri: `${scheme}://${user}@${host.includes(":") ? `[${host}]` : host}:${port}`,
    };
    if (certificate?.selfSigned === true) entries["ca.crt"] = certificate.certificatePem;
    return [
      keptSecret(
        world.relay,
        secretName,
        "credentials",
        Object.fromEntries(Object.entries(entries).map(([key, text]) => [key, base64(text)])),
      ),
    ];
  });
}
