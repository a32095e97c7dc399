/**
 * Asks relay pods for their report (`GET /report`). A pod that cannot be asked or says nonsense is
 * `silent` with the reason: an answer, not an error. Time, size and number of questions are bounded.
 *
 * Reconciles that hang on a report being newer than something they read ask anew; others may take one
 * that is some seconds old.
 */
import { type ClientRequest, request } from "node:http";

import { STATUS_PORT, statusPaths } from "../../relay/contract/endpoints.ts";
import { relayReport } from "../../relay/contract/report.ts";
import type { Clock } from "../../relay/kit/clock.ts";
import type { PodAnswer } from "../world.ts";
import { createLimiter } from "./limiter.ts";

/** Which pod, and where it is. */
export interface ReportTarget {
  readonly namespace: string;
  readonly name: string;
  /** Tells a pod from its successor of the same name. */
  readonly uid: string;
  /** Null before it has an address. */
  readonly ip: string | null;
}

export interface ReportSource {
  /** An answer at most `maxAgeSeconds` old; 0 asks now. Never rejects. */
  ask(pod: ReportTarget, maxAgeSeconds: number): Promise<PodAnswer>;
}

export interface ReportSourceOptions {
  readonly clock: Clock;
  /** Where a pod answers, where that is not its address and the contract's port. */
  readonly endpoint?: (pod: ReportTarget) => { readonly host: string; readonly port: number } | null;
  readonly timeoutSeconds?: number;
  readonly concurrency?: number;
}

/** 20,000 usage rows and as many counters fit well within. */
export const LARGEST_REPORT_BYTES = 4 * 1024 * 1024;
/** Answers kept for pods that may be asked about again. */
const REMEMBERED_PODS = 5000;

interface Remembered {
  readonly askedAt: number;
  readonly answer: Promise<PodAnswer>;
}

export function createReportSource(options: ReportSourceOptions): ReportSource {
  const { clock, timeoutSeconds = 3, concurrency = 16 } = options;
  const endpoint =
    options.endpoint ??
    ((pod: ReportTarget) => (pod.ip === null ? null : { host: pod.ip, port: STATUS_PORT }));
  const remembered = new Map<string, Remembered>();
  const inTurn = createLimiter(concurrency);

  const askNow = async (pod: ReportTarget): Promise<PodAnswer> => {
    const place = endpoint(pod);
    if (place === null) return { kind: "silent", reason: "the pod has no address yet" };
    try {
      const body = await inTurn(() => fetchText(place, clock, timeoutSeconds));
      return readReport(body, pod.name);
    } catch (error) {
      return { kind: "silent", reason: error instanceof Error ? error.message : String(error) };
    }
  };

  return {
    ask(pod, maxAgeSeconds) {
      const key = `${pod.namespace}/${pod.name}/${pod.uid}/${pod.ip ?? ""}`;
      const known = remembered.get(key);
      const now = clock.now();
      if (known !== undefined && maxAgeSeconds > 0 && now - known.askedAt <= maxAgeSeconds * 1000) {
        return known.answer;
      }
      const answer = askNow(pod);
      remembered.delete(key);
      remembered.set(key, { askedAt: now, answer });
      for (const oldest of remembered.keys()) {
        if (remembered.size <= REMEMBERED_PODS) break;
        remembered.delete(oldest);
      }
      return answer;
    },
  };
}

function readReport(body: string, pod: string): PodAnswer {
  const parsed = relayReport.safeParse(JSON.parse(body));
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const where = issue?.path.map(String).join(".") ?? "";
    return {
      kind: "silent",
      reason: `its report is not understood: ${where}: ${issue?.message ?? "invalid"}`,
    };
  }
  // An address may have passed to another pod.
  if (parsed.data.pod !== pod) {
    return { kind: "silent", reason: `another pod answers at its address: ${parsed.data.pod.slice(0, 253)}` };
  }
  return { kind: "report", report: parsed.data };
}

function fetchText(
  place: { readonly host: string; readonly port: number },
  clock: Clock,
  timeoutSeconds: number,
): Promise<string> {
  return new Promise((resolve, reject) => {
    const at = `${place.host}:${place.port}`;
    let asked: ClientRequest | undefined;
    const cancel = clock.after(timeoutSeconds * 1000, () => {
      asked?.destroy(new Error(`no answer from ${at} within ${timeoutSeconds} s`));
    });
    const fail = (error: Error) => {
      cancel();
      asked?.destroy();
      reject(error);
    };
    asked = request(
      { host: place.host, port: place.port, path: statusPaths.report, agent: false },
      (response) => {
        if (response.statusCode !== 200) {
          return fail(new Error(`${at} answered ${response.statusCode ?? 0} instead of a report`));
        }
        const chunks: Buffer[] = [];
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
          if (bytes > LARGEST_REPORT_BYTES) {
            fail(new Error(`the report of ${at} is larger than ${LARGEST_REPORT_BYTES} bytes`));
          } else {
            chunks.push(chunk);
          }
        });
        response.on("error", fail);
        response.on("aborted", () => fail(new Error(`${at} broke off its report`)));
        response.on("end", () => {
          cancel();
          resolve(Buffer.concat(chunks).toString("utf8"));
        });
      },
    );
    asked.on("error", fail);
    asked.end();
  });
}
