/**
 * The relay program: wiring only. Order of start: status server, spool, engine, listeners, configuration,
 * admin socket. Order of stop: not ready, nobody new, what is in flight ends or is given back, spool closed.
 *
 *   SIGTERM, SIGINT   stop in order (a second one ends at once)
 *   SIGHUP            look at the configuration folder now
 */
import { Registry } from "prom-client";

import { startAdminServer } from "./admin/server.ts";
import { bounceOf } from "./bounces.ts";
import { readBoot } from "./boot.ts";
import { watchConfig } from "./config/watch.ts";
import { STATUS_PORT, statusPaths } from "./contract/endpoints.ts";
import { systemClock as clock } from "./kit/clock.ts";
import { Lifecycle } from "./kit/lifecycle.ts";
import { standardError } from "./kit/lineWriter.ts";
import { createLoadProbe } from "./kit/loadProbe.ts";
import { createLog } from "./kit/log.ts";
import { systemRandom as random } from "./kit/random.ts";
import { startStatusServer } from "./kit/statusServer.ts";
import { createUlids } from "./kit/ulid.ts";
import { createRelayMetrics } from "./metrics.ts";
import { OverloadWatch } from "./overload.ts";
import { createEngine } from "./queue/engine.ts";
import { openFileSpool } from "./queue/fileSpool.ts";
import { defaultLimits } from "./queue/log/limits.ts";
import { toldOf } from "./queue/told.ts";
import { RelayService } from "./service.ts";
import { createSigning } from "./signing.ts";
import { bindFault } from "./smtp/bindFault.ts";
import { createDeliverer } from "./smtp/deliver.ts";
import { localAddresses } from "./smtp/localAddresses.ts";
import { createReceiver } from "./smtp/receive.ts";
import { createMxResolver } from "./smtp/resolveMx.ts";

/** Grace for sessions and transactions; the pod's own grace period is longer. */
const GRACE_SECONDS = 20;

async function main(): Promise<void> {
  const boot = readBoot(process.env);
  let service: RelayService | undefined;
  const log = createLog({
    clock,
    level: boot.logLevel,
    write: standardError(),
    // Before the first configuration nothing is said about anyone.
    privacy: () => service?.config?.config.privacy.addressesInLogs ?? "Omitted",
  }).with({ pod: boot.podName });
  const lifecycle = new Lifecycle({ clock, log });
  const registry = new Registry();
  const metrics = createRelayMetrics(registry);
  const newId = createUlids({ clock, random });

  // First up, last down: what asks whether the relay is ready is answered while it starts and stops, too.
  const status = await startStatusServer({
    host: boot.bindAddress,
    port: STATUS_PORT + boot.portShift,
    alive: () => ({ ok: true }),
    ready: () => service?.ready() ?? { ok: false, reason: "starting: the spool is being read" },
    metrics: registry,
    routes: { [statusPaths.report]: () => service?.report() ?? null },
  });
  lifecycle.started({ name: "status server", deadlineSeconds: 5, stop: () => status.close() });

  const spool = await openFileSpool({ directory: boot.spoolDir, clock, log });
  lifecycle.started({ name: "spool", deadlineSeconds: 10, stop: () => spool.close() });
  const recovered = await spool.recover();
  metrics.spoolCut(recovered.tornBytes);
  metrics.spoolDamaged(recovered.damagedBytes);
  if (recovered.tornBytes > 0) {
    log.warn("a torn end of the spool's log was cut: it was being written when the former life ended", {
      tornBytes: recovered.tornBytes,
    });
  }
  log.info("spool open", { messages: recovered.count, tornBytes: recovered.tornBytes });

  const signing = createSigning({ clock, log, spool });
  const resolver = createMxResolver({ clock, random, log, servers: [], forbiddenNetworks: [] });
  const deliverer = createDeliverer({ clock, log });
  lifecycle.started({ name: "deliverer", deadlineSeconds: 10, stop: () => deliverer.close() });
  const engine = createEngine({
    ...{ clock, random, log, spool, deliverer, resolver, newId },
    sign: (message) => signing.sign(message),
    composeBounce: (order) => bounceOf(order, spool),
    readSecret: (file) => readSecret(file),
    bindFault,
    metrics: metrics.engine,
  });
  lifecycle.started({
    name: "engine",
    deadlineSeconds: GRACE_SECONDS + 10,
    stop: () => engine.stop({ graceSeconds: GRACE_SECONDS }),
  });
  engine.start(recovered);

  const receiver = createReceiver({
    ...{ clock, random, log, spool, newId },
    bind: boot.bindAddress,
    portShift: boot.portShift,
    onAccepted(message) {
      metrics.accepted(message);
      engine.enqueue(message);
    },
    metrics: metrics.receive,
  });
  lifecycle.started({
    name: "listeners",
    deadlineSeconds: GRACE_SECONDS + 10,
    stop: () => receiver.stop({ graceSeconds: GRACE_SECONDS }),
  });

  const overload = new OverloadWatch({
    ...{ clock, log, receiver },
    probe: createLoadProbe({ diskPath: boot.spoolDir }),
    diskReserveBytes: defaultLimits.reserveBytes,
  });
  lifecycle.started({ name: "overload watch", deadlineSeconds: 1, stop: () => overload.stop() });

  const running = new RelayService({
    ...{ clock, log, spool, engine, receiver, resolver, signing },
    podName: boot.podName,
    localAddresses,
    overloaded: () => overload.notReadyReason(),
    configOutcome: (outcome) => metrics.configuration(outcome),
  });
  service = running;
  metrics.levels({
    report: () => running.report(),
    sessions: () => receiver.counts().sessions,
    overload: () => overload.state.level,
  });
  const watch = watchConfig({
    ...{ clock, log },
    dir: boot.configDir,
    podName: boot.podName,
    onRead: (read) => running.follow(read),
  });
  lifecycle.started({ name: "configuration", deadlineSeconds: 1, stop: () => watch.stop() });

  const admin = await startAdminServer({
    path: boot.adminSocket,
    log,
    source: {
      pod: boot.podName,
      queue: () => engine.queueListing(),
      message: (id) => toldOf(engine, id, (asked) => engine.message(asked)),
      explain: (id) => toldOf(engine, id, (asked) => engine.explain(asked)),
      find: (prefix, most) => engine.find(prefix, most),
    },
  });
  lifecycle.started({ name: "admin socket", deadlineSeconds: 5, stop: () => admin.close() });

  let signals = 0;
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    process.on(signal, () => {
      signals += 1;
      if (signals > 1) process.exit(1);
      log.info("stopping", { signal });
      running.stopping();
      void lifecycle.stop().then(() => {
        log.info("stopped");
        process.exit(0);
      });
    });
  }
  process.on("SIGHUP", () => watch.look());

  async function readSecret(file: string): Promise<string> {
    const content = running.config?.files.get(file);
    if (content === undefined)
      throw new Error(`Cannot read ${file}: the configuration in force has no such file.`);
    return content.toString("utf8").trimEnd();
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
});
