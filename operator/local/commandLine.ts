/** The words of `smtp-relay-operator local`, read into options; pure. */
import { isIP } from "node:net";

import { readOptions } from "../../relay/kit/options.ts";

export interface LocalOptions {
  readonly folder: string;
  readonly state: string;
  readonly dns:
    | { readonly kind: "system" }
    | { readonly kind: "loopback" }
    | { readonly kind: "server"; readonly address: string };
  readonly deliveryPort: number;
  readonly singleAddress: boolean;
  readonly verbose: boolean;
}

export type CommandLine =
  | { readonly kind: "local"; readonly options: LocalOptions }
  | { readonly kind: "help"; readonly text: string }
  /** Not understood: what, and what to do. */
  | { readonly kind: "refused"; readonly text: string };

export const DEFAULT_STATE = ".smtp-relay";
const SMTP_PORT = 25;

export const usage = `usage: smtp-relay-operator local -f DIR [--state DIR] [options]

Runs the relays that the manifests in a folder ask for, as processes of this machine: the same manifests
and the same rules as in a cluster, without one. Editing a file applies it; a file that is refused leaves
what runs as it is. No root, no containers. Ctrl-C stops in order, a second Ctrl-C at once.

  -f, --filename DIR      folder of manifests (.yaml, .yml, .json): SmtpRelay, SendingDomain, IpPool, Secret
      --state DIR         where queue, keys, ramps and logs are kept (default ${DEFAULT_STATE})
      --dns WHERE         system: this machine's resolvers (default)
                          loopback: a zone on 127.0.0.1 that publishes the records the manifests ask for
                          ADDRESS:PORT: one resolver
      --delivery-port N   port of receiving hosts (default ${SMTP_PORT}); another one only makes sense in tests
      --single-address    tell pods apart by ports, as where only 127.0.0.1 is up
      --verbose           show the logs of the pods, each line with the pod's name
  -h, --help              this text

In the state folder: status/*.yaml says how each object is, secrets/NAME/* how to connect and with which
password, logs/POD.log what the relays say. \`smtp-relay queue --state DIR\` shows what waits and why.

In a Kubernetes cluster: smtp-relay-operator run --help
`;

/** \`words\`: what stands after the program's name. */
export function readCommandLine(words: readonly string[]): CommandLine {
  const parsed = readOptions({
    args: [...words],
    allowPositionals: true,
    strict: true,
    options: {
      filename: { type: "string", short: "f" },
      state: { type: "string" },
      dns: { type: "string" },
      "delivery-port": { type: "string" },
      "single-address": { type: "boolean" },
      verbose: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  if ("fault" in parsed) return refused(parsed.fault);
  const { values, positionals } = parsed;
  if (values.help === true || positionals[0] === "help") return { kind: "help", text: usage };
  const [command, ...extra] = positionals;
  if (command === undefined) return refused("a command is missing: local or run");
  if (command !== "local")
    return refused(`unknown command ${JSON.stringify(command)}: there are local and run`);
  if (extra.length > 0)
    return refused(`unexpected word ${JSON.stringify(extra[0])}: the folder comes after -f`);
  if (values.filename === undefined) return refused("the folder of manifests is missing: -f DIR");

  const dns = readDns(values.dns ?? "system");
  if (dns === null)
    return refused(
      `--dns ${values.dns}: must be system, loopback, or an address with a port such as 127.0.0.1:53`,
    );
  const deliveryPort = readPort(values["delivery-port"] ?? String(SMTP_PORT));
  if (deliveryPort === null)
    return refused(`--delivery-port ${values["delivery-port"]}: must be a port from 1 to 65535`);
  return {
    kind: "local",
    options: {
      folder: values.filename,
      state: values.state ?? DEFAULT_STATE,
      dns,
      deliveryPort,
      singleAddress: values["single-address"] ?? false,
      verbose: values.verbose ?? false,
    },
  };
}

function readDns(word: string): LocalOptions["dns"] | null {
  if (word === "system") return { kind: "system" };
  if (word === "loopback") return { kind: "loopback" };
  const [, address = "", port = ""] = /^\[?([0-9a-fA-F.:]+?)\]?:(\d+)$/.exec(word) ?? [];
  if (isIP(address) === 0 || readPort(port) === null) return null;
  return { kind: "server", address: isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}` };
}

function readPort(word: string): number | null {
  const port = /^\d{1,5}$/.test(word) ? Number(word) : 0;
  return port >= 1 && port <= 65_535 ? port : null;
}

function refused(text: string): CommandLine {
  return { kind: "refused", text: `${text}\nSee smtp-relay-operator --help.` };
}
