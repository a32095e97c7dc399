/** One GET as the kubelet probes: null when it was answered 2xx or 3xx, else why not, in a few words. */
import { get } from "node:http";

const TIMEOUT_MS = 2_000;
const LONGEST_REASON = 200;

export function probeHttp(target: { host: string; port: number; path: string }): Promise<string | null> {
  return new Promise((resolve) => {
    const request = get({ ...target, agent: false, timeout: TIMEOUT_MS }, (response) => {
      const status = response.statusCode ?? 0;
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        if (body.length < LONGEST_REASON) body += chunk;
      });
      response.on("error", (error) => resolve(error.message));
      response.on("end", () => {
        const text = body.trim().split("\n", 1)[0]?.slice(0, LONGEST_REASON) ?? "";
        resolve(status >= 200 && status < 400 ? null : text || `answered ${status}`);
      });
    });
    request.on("timeout", () => request.destroy(new Error(`no answer in ${TIMEOUT_MS / 1000} s`)));
    request.on("error", (error: NodeJS.ErrnoException) => {
      resolve(error.code === "ECONNREFUSED" ? "it does not listen yet" : error.message);
    });
  });
}
