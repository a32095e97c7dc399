/**
 * HTTP to the API server: calls that are answered once, and streams.
 *
 * Every call has a deadline and an end on close; so many run at a time. What may be done twice without harm
 * is tried again after 429, 5xx and broken connections, at the pace the server asks for (Retry-After) or with
 * growing, jittered pauses; what may not be, only when the server surely did not carry it out.
 *
 * node:https with kept connections: @kubernetes/client-node opens one TLS connection per call.
 */
import { type ClientRequest, type IncomingMessage, request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";

import { type Clock, sleep } from "../../../relay/kit/clock.ts";
import type { Random } from "../../../relay/kit/random.ts";
import { createLimiter, type Limiter } from "../limiter.ts";
import type { KubeError } from "../kubeClient.ts";
import type { ApiAccess } from "./access.ts";
import { Agents } from "./agents.ts";
import { readStatus, statusError, unreachable } from "./apiError.ts";
import { type Body, readBody } from "./body.ts";

export interface ApiRequest {
  readonly method: "GET" | "PATCH" | "DELETE";
  /** Under the server's address, encoded, with its query. */
  readonly path: string;
  readonly body?: { readonly type: string; readonly value: unknown };
  /** Media types of the answer, the best first; default: JSON. */
  readonly accept?: string;
  /** Whether the answer may come packed: pays for what is long and alike. */
  readonly packed?: boolean;
  /** Whether doing it twice is as good as doing it once. */
  readonly repeatable: boolean;
  /** What it is for, as in "Cannot PURPOSE: …". */
  readonly purpose: string;
}

/** One attempt, for metrics. */
export interface ApiCall {
  readonly method: string;
  /** HTTP status; 0 when none came. */
  readonly code: number;
  readonly seconds: number;
  /** Whether another attempt of the same call follows. */
  readonly retried: boolean;
}

export interface TransportOptions {
  readonly access: ApiAccess;
  readonly clock: Clock;
  readonly random: Random;
  /** Deadline of one attempt; default 30. */
  readonly callSeconds?: number;
  /** Attempts of one call; default 4. */
  readonly attempts?: number;
  /** Calls at a time, streams not counted; default 16. */
  readonly concurrency?: number;
  readonly onCall?: (call: ApiCall) => void;
  /** Why nothing may be changed now; asked right before every attempt at it. Null: go on. */
  readonly barred?: () => string | null;
}

/** An attempt before the one answered may have been carried out although we did not hear of it. */
interface Repeated {
  readonly repeated: boolean;
}

export interface Answer extends Repeated, Body {}

/** A refusal with the server's own details. */
export interface Refusal {
  readonly error: KubeError;
  readonly code: number;
  /** Status.details.name: the object spoken of. */
  readonly subject: string | null;
}

const JSON_TYPE = "application/json";
const FIRST_PAUSE_MS = 200;
const PAUSE_GROWTH = 4;
/** A server that wants to be left alone for longer is left alone: the caller hears the refusal. */
const LONGEST_PAUSE_MS = 30_000;

type Attempt =
  | (Body & { readonly kind: "answer" })
  | (Refusal & {
      readonly kind: "refused";
      readonly retryAfterMs: number | null;
      /** Whether the server may have carried it out all the same. */
      readonly doubtful: boolean;
      readonly worthRetrying: boolean;
    });

export class Transport {
  readonly #options: TransportOptions;
  readonly #agents: Agents;
  readonly #limit: Limiter;
  readonly #closing = new AbortController();

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#agents = new Agents(options.access.server.protocol);
    this.#limit = createLimiter(options.concurrency ?? 16);
  }

  /** The answer, or why there is none. Bugs aside it does not reject. */
  async call(request: ApiRequest): Promise<Answer | (Refusal & Repeated)> {
    const { clock, random, attempts = 4 } = this.#options;
    let repeated = false;
    for (let number = 1; ; number += 1) {
      const outcome = await this.#limit(() => this.#attempt(request, number, attempts));
      if (outcome.kind === "answer") return { value: outcome.value, bytes: outcome.bytes, repeated };
      const refusal = { ...outcome, repeated };
      if (!mayRepeat(request, outcome, number < attemptsFor(outcome, attempts))) return refusal;
      const pauseMs = outcome.retryAfterMs ?? backoffMs(number, random.draw());
      await sleep(clock, pauseMs * (1 + random.draw() * 0.1), this.#closing.signal);
      if (this.#closing.signal.aborted) return refusal;
      repeated ||= outcome.doubtful;
    }
  }

  /** Opens a stream: resolves with the response once its headers are here; rejects with a KubeError. */
  async stream(request: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const scope = this.#scope(request, signal);
    const started = this.#options.clock.now();
    try {
      const response = await this.#send(request, scope.signal);
      this.#tell(request, response.statusCode ?? 0, started, false);
      response.on("error", () => {});
      if (response.statusCode === 200) {
        // From here on only the caller's signal (or close) ends it.
        const cut = () => response.destroy();
        for (const end of [signal, this.#closing.signal]) {
          end.addEventListener("abort", cut, { once: true });
          response.once("close", () => end.removeEventListener("abort", cut));
        }
        if (signal.aborted || this.#closing.signal.aborted) response.destroy();
        return response;
      }
      const { value: body } = await readBody(response);
      if (response.statusCode === 401) this.#options.access.refused();
      throw statusError(response.statusCode ?? 0, body, request.purpose);
    } catch (error) {
      throw scope.translate(error);
    } finally {
      scope.end();
    }
  }

  /** Ends everything under way and all connections. */
  close(): void {
    this.#closing.abort();
    this.#agents.close();
  }

  async #attempt(request: ApiRequest, number: number, attempts: number): Promise<Attempt> {
    const scope = this.#scope(request);
    const started = this.#options.clock.now();
    let code = 0;
    let attempt: Attempt;
    try {
      const response = await this.#send(request, scope.signal);
      const body = await readBody(response);
      code = response.statusCode ?? 0;
      attempt =
        code >= 200 && code < 300 ? { kind: "answer", ...body } : refused(request, response, body.value);
      if (code === 401) this.#options.access.refused();
    } catch (error) {
      attempt = {
        kind: "refused",
        error: scope.translate(error),
        code: 0,
        subject: null,
        retryAfterMs: null,
        doubtful: !(error instanceof Error && "code" in error && neverSent.has(String(error.code))),
        // Who waited that long should not wait four times as long: the caller has a backoff of its own.
        worthRetrying: !scope.signal.aborted,
      };
    } finally {
      scope.end();
    }
    const retried =
      attempt.kind === "refused" && mayRepeat(request, attempt, number < attemptsFor(attempt, attempts));
    this.#tell(request, code, started, retried);
    return attempt;
  }

  async #send(request: ApiRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { access, barred } = this.#options;
    const credentials = await access.credentials();
    signal.throwIfAborted();
    const bar = request.method === "GET" ? null : (barred?.() ?? null);
    if (bar !== null) throw unreachable(request.purpose, bar);
    const body = request.body === undefined ? undefined : JSON.stringify(request.body.value);
    const open = access.server.protocol === "http:" ? httpRequest : httpsRequest;
    const { pathname } = access.server;
    return await new Promise<IncomingMessage>((resolve, reject) => {
      const sent: ClientRequest = open(
        {
          protocol: access.server.protocol,
          // Without the brackets a URL puts around an IPv6 address.
          hostname: access.server.hostname.replace(/^\[|\]$/g, ""),
          port: access.server.port,
          path: `${pathname.endsWith("/") ? pathname.slice(0, -1) : pathname}${request.path}`,
          method: request.method,
          agent: credentials.agent ?? this.#agents.for(credentials.tls),
          signal,
          headers: {
            accept: request.accept ?? JSON_TYPE,
            ...(request.packed === true ? { "accept-encoding": "gzip" } : {}),
            "user-agent": "smtp-relay-operator",
            ...credentials.headers,
            ...(body === undefined
              ? {}
              : {
                  "content-type": request.body?.type ?? JSON_TYPE,
                  "content-length": Buffer.byteLength(body),
                }),
          },
        },
        resolve,
      );
      // Kept for good: a connection may break after its answer has begun.
      sent.on("error", reject);
      sent.setNoDelay(true);
      sent.setSocketKeepAlive(true, 30_000);
      sent.end(body);
    });
  }

  /** A deadline together with the caller's signal and our own end. */
  #scope(request: ApiRequest, caller?: AbortSignal) {
    const { clock, callSeconds = 30 } = this.#options;
    const stop = new AbortController();
    let late = false;
    const cancel = clock.after(callSeconds * 1000, () => {
      late = true;
      stop.abort();
    });
    const onAbort = () => stop.abort();
    const sources = [this.#closing.signal, ...(caller === undefined ? [] : [caller])];
    for (const source of sources) {
      if (source.aborted) stop.abort();
      source.addEventListener("abort", onAbort, { once: true });
    }
    return {
      signal: stop.signal,
      translate: (error: unknown): KubeError => {
        if (late) return unreachable(request.purpose, `no answer within ${callSeconds} s`, error);
        if (stop.signal.aborted) return unreachable(request.purpose, "it was broken off", error);
        return asKubeError(error) ?? unreachable(request.purpose, factOf(error), error);
      },
      end: () => {
        cancel();
        for (const source of sources) source.removeEventListener("abort", onAbort);
      },
    };
  }

  #tell(request: ApiRequest, code: number, started: number, retried: boolean): void {
    const seconds = Math.max(0, this.#options.clock.now() - started) / 1000;
    this.#options.onCall?.({ method: request.method, code, seconds, retried });
  }
}

/** Errors of a connection that never came to be: the request did not reach anyone. */
const neverSent = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "EHOSTUNREACH", "ENETUNREACH"]);

function refused(request: ApiRequest, response: IncomingMessage, body: unknown): Attempt {
  const code = response.statusCode ?? 0;
  const status = readStatus(body);
  const error = statusError(code, body, request.purpose);
  const asked = Number(response.headers["retry-after"] ?? status.details?.retryAfterSeconds ?? Number.NaN);
  return {
    kind: "refused",
    error,
    code,
    subject: status.details?.name ?? null,
    retryAfterMs: Number.isFinite(asked) && asked >= 0 ? asked * 1000 : null,
    doubtful: code >= 500,
    worthRetrying: code === 429 || code === 401 || (code >= 500 && error.reason !== "Invalid"),
  };
}

/** 401: once more with credentials read anew, which is what a rotated token needs. */
function attemptsFor(outcome: Refusal, attempts: number): number {
  return outcome.code === 401 ? Math.min(2, attempts) : attempts;
}

function mayRepeat(
  request: ApiRequest,
  outcome: Extract<Attempt, { kind: "refused" }>,
  more: boolean,
): boolean {
  if (!more || !outcome.worthRetrying) return false;
  if ((outcome.retryAfterMs ?? 0) > LONGEST_PAUSE_MS) return false;
  return request.repeatable || !outcome.doubtful;
}

function backoffMs(attempt: number, draw: number): number {
  return FIRST_PAUSE_MS * PAUSE_GROWTH ** (attempt - 1) * (0.5 + draw);
}

function asKubeError(error: unknown): KubeError | null {
  return error instanceof Error && error.name === "KubeError" ? (error as KubeError) : null;
}

function factOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return "code" in error && !error.message.includes(String(error.code))
    ? `${error.message} (${String(error.code)})`
    : error.message;
}
