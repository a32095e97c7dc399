/**
 * Ports, paths, file and variable names between operator and relay, each named once.
 * The operator writes them into pods, the relay opens them.
 */

/** Port of the status server in the pod: health, readiness, metrics, report. */
export const STATUS_PORT = 8025;

export const statusPaths = {
  health: "/healthz",
  ready: "/readyz",
  metrics: "/metrics",
  report: "/report",
} as const;

/** A listener port below 1024 is opened this much higher in the pod, so that it needs no privilege. */
export const LOW_PORT_SHIFT = 1000;

/** The port a relay process opens for a listener that clients reach at `port`. */
export function containerPort(port: number): number {
  return port < 1024 ? port + LOW_PORT_SHIFT : port;
}

/** Files in the mounted configuration folder; they change together by one atomic swap. */
export const configFiles = {
  config: "relay.json",
  certificate: "tls.crt",
  certificateKey: "tls.key",
} as const;

/** File of a DKIM private key (PKCS#8 PEM) in the mounted configuration folder. */
export function dkimKeyFile(domain: string, selector: string): string {
  return `dkim.${selector}.${domain}.pem`;
}

/** Environment of a relay process. The pod template and local mode set it. */
export const bootVariables = {
  /** Name of the pod, which picks its part of the configuration: "mail-0". Required. */
  podName: "SMTP_RELAY_POD",
  /** Folder with the configuration files. Required. */
  configDir: "SMTP_RELAY_CONFIG_DIR",
  /** Folder of the spool. Required. */
  spoolDir: "SMTP_RELAY_SPOOL_DIR",
  /** Path of the admin socket. Default: admin.sock in the spool folder. */
  adminSocket: "SMTP_RELAY_ADMIN_SOCKET",
  /** Address to listen on. Default: all addresses. */
  bindAddress: "SMTP_RELAY_BIND",
  /** Added to every listening port, for machines where only ports tell pods apart. Default 0. */
  portShift: "SMTP_RELAY_PORT_SHIFT",
  /** "debug" | "info" | "warn" | "error". Default info. */
  logLevel: "SMTP_RELAY_LOG_LEVEL",
} as const;

/**
 * What Node is told when it runs the relay. Young objects may fill 16 MiB: left alone V8 lets a busy relay, or one
 * that has read a long queue, have 96 MiB for them and hardly ever gives them back. Old ones, and content outside of the
 * heap with them, may grow threefold from one full collection to the next; left alone it is up to fourfold, which is 40 MiB more
 * beside a million queued. Twofold costs seven hundredths of the CPU (docs/performance.md).
 */
export const relayNodeOptions = ["--max-semi-space-size=8", "--heap-growing-percent=200"] as const;

/** How the relay is started in a pod; our image has it as JavaScript. */
export const relayCommand = ["node", ...relayNodeOptions, "relay/main.js"] as const;

/** Mount points in the pod. */
export const mountPaths = {
  config: "/etc/smtp-relay",
  spool: "/var/spool/smtp-relay",
} as const;
