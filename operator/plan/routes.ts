/** Where mail goes, as the relay takes it: the spec's routes in order, then the default pool. */
import type { SmtpRelaySpec } from "../../crds/smtpRelay.ts";
import type { Route } from "../../relay/contract/config.ts";
import type { Problem, RelayWorld } from "../world.ts";
import { poolNames } from "./assignAddresses.ts";
import { blocking } from "./problem.ts";
import { base64, secretText } from "./secrets.ts";

export interface RoutePlan {
  /** Null: a route cannot be written, and leaving it out would send its mail elsewhere. */
  readonly routes: readonly Route[] | null;
  /** Password files of smart hosts, base64. */
  readonly files: Readonly<Record<string, string>>;
  readonly problems: readonly Problem[];
}

type SmartHost = NonNullable<SmtpRelaySpec["routes"][number]["to"]["smarthost"]>;

export function planRoutes(world: RelayWorld): RoutePlan {
  const { spec, metadata } = world.relay;
  const problems: Problem[] = [];
  const files: Record<string, string> = {};
  const routes: Route[] = [];
  const present = new Set(world.pools.map((pool) => pool.metadata.name));
  for (const pool of poolNames(world.relay)) {
    if (!present.has(pool)) {
      const what = world.unreadPools?.includes(pool) ? "cannot be read, as it says itself" : "does not exist";
      problems.push(blocking("PoolMissing", `IpPool ${metadata.namespace}/${pool} ${what}.`));
    }
  }
  for (const { name, match, to } of spec.routes) {
    const recipientDomains = [...(match?.recipientDomains ?? [])];
    if (to.pool !== undefined) {
      routes.push({ name, recipientDomains, to: { kind: "pool", pool: to.pool.name } });
    } else if (to.smarthost === undefined) {
      problems.push(blocking("RouteInvalid", `Route ${name} names neither a pool nor a smart host.`));
    } else {
      const login = smartHostLogin(name, to.smarthost, world);
      if ("problem" in login) problems.push(login.problem);
      else {
        if (login.file !== null) files[login.file.name] = base64(login.file.password);
        routes.push({
          name,
          recipientDomains,
          to: {
            kind: "smarthost",
            host: to.smarthost.host,
            port: to.smarthost.port,
            tls: to.smarthost.tls,
            username: login.username,
            passwordFile: login.file?.name ?? null,
            // Warm-up is for receivers who judge our addresses; a smart host knows us by login.
            pool: null,
            ...(to.smarthost.connections === undefined ? {} : { connections: to.smarthost.connections }),
          },
        });
      }
    }
  }
  if (spec.poolRef !== undefined) {
    routes.push({ name: "default", recipientDomains: [], to: { kind: "pool", pool: spec.poolRef.name } });
  }
  return { routes: problems.length > 0 || routes.length === 0 ? null : routes, files, problems };
}

type Login =
  | {
      readonly username: string | null;
      readonly file: { readonly name: string; readonly password: string } | null;
    }
  | { readonly problem: Problem };

function smartHostLogin(route: string, smarthost: SmartHost, world: RelayWorld): Login {
  const secretName = smarthost.credentialsRef?.name;
  if (secretName === undefined) return { username: null, file: null };
  const secret = world.secrets.get(secretName);
  if (secret === undefined) {
    return { problem: blocking("SecretMissing", `Route ${route}: Secret ${secretName} does not exist.`) };
  }
  const username = secretText(secret, "username");
  const password = secretText(secret, "password");
  if (username === null || password === null || username.length > 255) {
    const entry = username === null || username.length > 255 ? "username" : "password";
    return {
      problem: blocking(
        "SecretInvalid",
        `Route ${route}: Secret ${secretName} has no usable entry "${entry}".`,
      ),
    };
  }
  return { username, file: { name: `smarthost.${route}.password`, password } };
}
