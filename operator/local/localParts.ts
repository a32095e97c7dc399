/** What localMode.ts wires with: small answers to small questions, each on its own. */
import { judgeManifest } from "../../crds/judge.ts";
import { parseSmtpRelay } from "../../crds/parse.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import type { ApplyObject, KubeObject } from "../adapters/kubeClient.ts";
import type { GitOpsOutcome } from "./gitops.ts";
import type { Notes } from "./notes.ts";
import type { WantedPort } from "./servicePorts.ts";
import type { ZoneRecord } from "./zone.ts";
import { startZoneServer, type ZoneServer } from "./zoneServer.ts";

export type DnsChoice =
  /** The resolvers this machine is set up with. */
  | { readonly kind: "system" }
  /** One resolver, "address:port". */
  | { readonly kind: "server"; readonly address: string }
  /** A zone on loopback that publishes what the manifests ask for: nothing leaves the machine. */
  | { readonly kind: "loopback"; readonly records: readonly ZoneRecord[] };

const ZONE_HOST = "127.0.0.1";
/** Above the privileged ports; multicast DNS has it on other addresses. */
const ZONE_PORT = 5353;
/** What mail from a real place must never be led to: this machine and its neighbours on the wire. */
const notOutside = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "::/128", "::1/128", "fe80::/10"];

/** The folder is refused and nothing was in force before. */
export class RefusedAtStart extends Error {
  override readonly name = "RefusedAtStart";
  readonly lines: readonly string[];

  constructor(folder: string, lines: readonly string[]) {
    super(`Cannot start from ${folder}: nothing ran here before, and the folder is refused.`);
    this.lines = lines;
  }
}

/** The loopback zone, at the port of the last start when that is free. */
export async function openZone(notes: Notes): Promise<ZoneServer> {
  const zone = await startZoneServer({ host: ZONE_HOST, port: notes.zonePort ?? ZONE_PORT });
  notes.noteZonePort(zone.port);
  return zone;
}

export function resolversOf(dns: DnsChoice, zone: ZoneServer | null): string[] {
  if (zone !== null) return [`${zone.host}:${zone.port}`];
  return dns.kind === "server" ? [dns.address] : [];
}

/** Who is asked about records: the loopback zone is believed; a resolver leads to the zones' own servers. */
export function probeThrough(
  dns: DnsChoice,
  zone: ZoneServer | null,
): { readonly direct?: string; readonly servers?: readonly string[] } {
  if (zone !== null) return { direct: `${zone.host}:${zone.port}` };
  return dns.kind === "server" ? { servers: [dns.address] } : {};
}

/** On loopback the receivers are here; everywhere else they must not be. */
export function forbiddenNetworks(dns: DnsChoice): readonly string[] {
  return dns.kind === "loopback" ? [] : notOutside;
}

/** What the API server would say of an object of ours. Status is the operator's own. */
export function judgeAsServer(object: KubeObject, old: KubeObject | null): readonly string[] {
  if (!["SmtpRelay", "SendingDomain", "IpPool"].includes(object.kind)) return [];
  if (old !== null && JSON.stringify(object["spec"]) === JSON.stringify(old["spec"])) return [];
  const judged = judgeManifest(withoutServerFields(object), old ?? undefined);
  return judged.ok ? [] : judged.problems.map(({ text }) => text);
}

function withoutServerFields({ apiVersion, kind, metadata, spec }: KubeObject): object {
  const { name, namespace, labels, annotations, finalizers } = metadata;
  return { apiVersion, kind, metadata: { name, namespace, labels, annotations, finalizers }, spec };
}

/** The ports clients must reach, of every relay among the objects. */
export function listenersOf(objects: readonly (ApplyObject | KubeObject)[]): WantedPort[] {
  return objects
    .filter(({ kind }) => kind === "SmtpRelay")
    .flatMap((object) => {
      const { metadata, spec } = parseSmtpRelay(object);
      return spec.listeners.map(({ port }) => ({
        namespace: metadata.namespace,
        relay: metadata.name,
        port,
      }));
    });
}

/** A failure to read or apply, as an outcome to be said: the next save is looked at all the same. */
export function asOutcome(error: unknown): GitOpsOutcome {
  return { kind: "refused", lines: [error instanceof Error ? error.message : String(error)] };
}

/** Runs `action` soon after it is asked for, at most a few times a second. */
export function everySoOften(
  clock: Clock,
  action: () => void,
  pauseMs = 250,
): { readonly ask: () => void; readonly stop: () => void } {
  let cancel: (() => void) | null = null;
  return {
    ask() {
      cancel ??= clock.after(pauseMs, () => {
        cancel = null;
        action();
      });
    },
    stop() {
      cancel?.();
      action();
    },
  };
}
