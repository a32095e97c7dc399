/**
 * What `spec.podTemplate` says about the pods, with defaults where it is silent.
 *
 * Defaults come from measurement: an idle relay process takes about 110 MiB, bodies stream and the queue's
 * index is small. Of CPU there is no limit, because throttling shows as slow SMTP sessions and nothing else.
 * Quantities are written as the API server writes them (1024Mi is 1Gi), since what it would rewrite would
 * look changed on every pass.
 */
import type { SmtpRelay } from "../../crds/kinds.ts";
import { relayNames } from "./names.ts";

const CPU_REQUEST_MILLICORES = 100;
const MEMORY_REQUEST_MEBIBYTES = 192;
const MEMORY_LIMIT_MEBIBYTES = 512;

type Quantities = Readonly<Record<string, string>>;

/** Requests and limits of the container. A default never contradicts what the owner wrote. */
export function containerResources({ spec }: SmtpRelay): {
  readonly requests: Quantities;
  readonly limits: Quantities;
} {
  const { requests = {}, limits = {} } = spec.podTemplate?.resources ?? {};
  const cpuLimit = limits.cpu === undefined ? null : millicores(limits.cpu);
  const cpu =
    requests.cpu === undefined
      ? Math.min(CPU_REQUEST_MILLICORES, cpuLimit ?? CPU_REQUEST_MILLICORES)
      : millicores(requests.cpu);
  const memoryLimit = limits.memory === undefined ? null : mebibytes(limits.memory);
  const memory =
    requests.memory === undefined
      ? Math.min(MEMORY_REQUEST_MEBIBYTES, memoryLimit ?? MEMORY_REQUEST_MEBIBYTES)
      : mebibytes(requests.memory);
  return {
    requests: { cpu: cpuText(cpu), memory: memoryText(memory) },
    limits: {
      ...(cpuLimit === null ? {} : { cpu: cpuText(cpuLimit) }),
      memory: memoryText(memoryLimit ?? Math.max(MEMORY_LIMIT_MEBIBYTES, memory)),
    },
  };
}

/** Where pods may run and how they rank. */
export function placement({ spec }: SmtpRelay): Record<string, unknown> {
  const { nodeSelector, tolerations, priorityClassName } = spec.podTemplate ?? {};
  return {
    ...(nodeSelector === undefined || Object.keys(nodeSelector).length === 0 ? {} : { nodeSelector }),
    ...(tolerations === undefined || tolerations.length === 0 ? {} : { tolerations }),
    ...(priorityClassName === undefined ? {} : { priorityClassName }),
  };
}

/** As whom pods run, and with what their image is pulled. */
export function identity({ metadata, spec }: SmtpRelay): Record<string, unknown> {
  const { serviceAccountName, imagePullSecrets } = spec.podTemplate ?? {};
  return {
    serviceAccountName: serviceAccountName ?? relayNames(metadata.name).serviceAccount,
    // Without a list of its own a pod is given that of its ServiceAccount.
    ...(imagePullSecrets === undefined || imagePullSecrets.length === 0 ? {} : { imagePullSecrets }),
  };
}

/** Part of the template's metadata. */
export function podAnnotations({ spec }: SmtpRelay): Record<string, unknown> {
  const annotations = spec.podTemplate?.annotations ?? {};
  return Object.keys(annotations).length === 0 ? {} : { annotations };
}

function millicores(text: string): number {
  return text.endsWith("m") ? Number(text.slice(0, -1)) : Number(text) * 1000;
}

function mebibytes(text: string): number {
  return Number(text.slice(0, -2)) * (text.endsWith("Gi") ? 1024 : 1);
}

function cpuText(milli: number): string {
  return milli % 1000 === 0 ? String(milli / 1000) : `${milli}m`;
}

function memoryText(mebi: number): string {
  return mebi % 1024 === 0 ? `${mebi / 1024}Gi` : `${mebi}Mi`;
}
