/**
 * What a relay process is told at its start: the environment, judged once. Everything else it learns from
 * the configuration folder, which may change while it runs.
 */
import { isIP } from "node:net";
import { join } from "node:path";

import { bootVariables, mountPaths } from "./contract/endpoints.ts";
import type { LogLevel } from "./kit/log.ts";

export interface Boot {
  readonly podName: string;
  readonly configDir: string;
  readonly spoolDir: string;
  readonly adminSocket: string;
  /** Undefined: all addresses. */
  readonly bindAddress: string | undefined;
  readonly portShift: number;
  readonly logLevel: LogLevel;
}

const logLevels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** Throws with the variable, what it must be and what it is. */
export function readBoot(environment: Readonly<Record<string, string | undefined>>): Boot {
  const podName = environment[bootVariables.podName];
  if (podName === undefined || podName === "") {
    throw new Error(
      `Cannot start: ${bootVariables.podName} must name the pod (for example mail-0), it is not set.`,
    );
  }
  const spoolDir = environment[bootVariables.spoolDir] ?? mountPaths.spool;
  const bindAddress = environment[bootVariables.bindAddress];
  if (bindAddress !== undefined && isIP(bindAddress) === 0) {
    throw new Error(
      `Cannot start: ${bootVariables.bindAddress} must be an IP address, it is "${bindAddress}".`,
    );
  }
  const portShift = Number(environment[bootVariables.portShift] ?? "0");
  if (!Number.isInteger(portShift) || Math.abs(portShift) > 65_535) {
    throw new Error(
      `Cannot start: ${bootVariables.portShift} must be a whole number of ports, it is "${environment[bootVariables.portShift]}".`,
    );
  }
  const level = environment[bootVariables.logLevel] ?? "info";
  const logLevel = logLevels.find((known) => known === level);
  if (logLevel === undefined) {
    throw new Error(
      `Cannot start: ${bootVariables.logLevel} must be one of ${logLevels.join(", ")}, it is "${level}".`,
    );
  }
  return {
    podName,
    configDir: environment[bootVariables.configDir] ?? mountPaths.config,
    spoolDir,
    adminSocket: environment[bootVariables.adminSocket] ?? join(spoolDir, "admin.sock"),
    bindAddress,
    portShift,
    logLevel,
  };
}
