/**
 * SmtpRelay → its desired objects and its configuration: the list of builders, in the order in which they
 * are applied. What is missing holds back what needs it and nothing else; with no new configuration the
 * published one stays in force.
 */
import type { ApplyObject } from "../adapters/kubeClient.ts";
import type { RelayConfig } from "../../relay/contract/config.ts";
import type { Problem, RelayPlan, RelayWorld } from "../world.ts";
import { type Certificate, planCertificate } from "./certificate.ts";
import { configCredentials, passwordNeeds, type ReadCredential, readCredentials } from "./credentials.ts";
import { credentialSecrets } from "./credentialSecrets.ts";
import { disruptionBudget } from "./disruptionBudget.ts";
import { planDomains } from "./domainConfigs.ts";
import { networkPolicy } from "./networkPolicy.ts";
import { relayConfigOf } from "./relayConfig.ts";
import { type Replicas, replicasOf } from "./replicas.ts";
import { planRoutes } from "./routes.ts";
import { certificateFiles, runtimeSecret } from "./runtimeSecret.ts";
import { clientService, podService } from "./service.ts";
import { serviceAccount } from "./serviceAccount.ts";
import { statefulSet } from "./statefulSet.ts";
import type { PlanTools } from "./tools.ts";

const nothing: RelayPlan = { objects: [], deletes: [], needs: [], problems: [], config: null };

export function planRelay(world: RelayWorld, tools: PlanTools): RelayPlan {
  const { relay, environment } = world;
  // Owner references take the children with it; nothing new is made for what goes.
  if (relay.metadata.deletionTimestamp !== undefined) return nothing;
  const replicas = replicasOf(world);
  const credentials = readCredentials(world);
  const certificate = planCertificate(world);
  const {
    config,
    objects: configObjects,
    problems,
  } = configuration(world, tools, {
    replicas,
    credentials,
    certificate: certificate.certificate,
  });
  const objects: ApplyObject[] = [
    ...certificate.objects,
    ...credentialSecrets(world, credentials, certificate.certificate),
    ...configObjects,
    ...serviceAccount(relay),
    podService(relay),
    clientService(relay),
    networkPolicy(relay, environment),
    disruptionBudget(relay),
  ];
  // Without a configuration pods could only wait for their mount.
  if (config !== null || world.publishedConfig !== null) {
    objects.push(statefulSet(relay, environment.relayImage, replicas.kept));
  }
  return {
    objects,
    deletes: certificate.deletes,
    needs: [...certificate.needs, ...passwordNeeds(relay, credentials)],
    problems: [...certificate.problems, ...problems, ...credentials.flatMap(({ problem }) => problem ?? [])],
    config,
  };
}

interface Ingredients {
  readonly replicas: Replicas;
  readonly credentials: readonly ReadCredential[];
  readonly certificate: Certificate | null;
}

function configuration(
  world: RelayWorld,
  tools: PlanTools,
  { replicas, credentials, certificate }: Ingredients,
): { config: RelayConfig | null; objects: readonly ApplyObject[]; problems: readonly Problem[] } {
  const { routes, files: routeFiles, problems } = planRoutes(world);
  if (routes === null || certificate === null) return { config: null, objects: [], problems };
  const { domains, files: keyFiles } = planDomains(world);
  const files = { ...certificateFiles(certificate), ...keyFiles, ...routeFiles };
  const config = relayConfigOf(world, {
    credentials: configCredentials(credentials, world, tools),
    routes,
    domains,
    replicas,
    files,
  });
  return { config, objects: [runtimeSecret(world, config, files, credentials)], problems };
}
