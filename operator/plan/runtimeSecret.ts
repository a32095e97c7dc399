/**
 * The Secret the pods mount: relay.json with every file it names. One object, because a mount is swapped as
 * a whole: a revision is never half there.
 */
import { GROUP } from "../../crds/group.ts";
import type { RelayConfig } from "../../relay/contract/config.ts";
import { configFiles } from "../../relay/contract/endpoints.ts";
import type { ApplyObject } from "../adapters/kubeClient.ts";
import type { RelayWorld } from "../world.ts";
import type { Certificate } from "./certificate.ts";
import { CHECKED_ANNOTATION, credentialVersions, type ReadCredential } from "./credentials.ts";
import { relayNames } from "./names.ts";
import { base64, relaySecret } from "./secrets.ts";

export const REVISION_ANNOTATION = `${GROUP}/revision`;

export function certificateFiles(certificate: Certificate): Record<string, string> {
  return {
    [configFiles.certificate]: base64(certificate.certificatePem),
    [configFiles.certificateKey]: base64(certificate.keyPem),
  };
}

export function runtimeSecret(
  world: RelayWorld,
  config: RelayConfig,
  files: Readonly<Record<string, string>>,
  credentials: readonly ReadCredential[],
): ApplyObject {
  const { relay } = world;
  return relaySecret(
    relay,
    relayNames(relay.metadata.name).runtimeSecret,
    "config",
    { ...files, [configFiles.config]: base64(JSON.stringify(config)) },
    {
      annotations: {
        [REVISION_ANNOTATION]: config.revision,
        [CHECKED_ANNOTATION]: credentialVersions(credentials, world),
      },
    },
  );
}
