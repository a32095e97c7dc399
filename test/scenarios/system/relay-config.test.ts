/**
 * The configuration of a running relay is swapped under its clients: what is new works, sessions stay open,
 * and a configuration that cannot be put in force leaves the last good one there and is reported.
 */
import { once } from "node:events";
import { writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";

import { afterEach, beforeEach, expect, test } from "vitest";

import type { RelayConfig } from "../../../relay/contract/config.ts";
import { configFiles } from "../../../relay/contract/endpoints.ts";
import { hashPasswordWith } from "../../../relay/kit/passwordHash.ts";
import { makeCertificate } from "../../support/certificate.ts";
import { freePort } from "../../support/peers/program.ts";
import { relayAmongPeers, type RelayAmongPeers, submit } from "../../support/relayAmongPeers.ts";
import { SmtpClient } from "../../support/smtpClient.ts";
import { smtpPeer } from "../../support/smtpPeer.ts";

let world: RelayAmongPeers;
beforeEach(async () => {
  world = await relayAmongPeers({ peers: { "inbox.test": smtpPeer() } });
  await world.relay.until(({ appliedRevision }) => appliedRevision === "test-1");
});
afterEach(() => world[Symbol.asyncDispose]());

function sourcePaused(stateReason: string): Pick<RelayConfig, "pods"> {
  return {
    pods: world.config().pods.map((pod) => ({
      ...pod,
      sources: pod.sources.map((source) => ({ ...source, state: "Paused" as const, stateReason })),
    })),
  };
}

/** A port that nobody has, as the configuration writes it. */
async function portForConfig(): Promise<number> {
  for (;;) {
    const port = (await freePort()) - world.relay.shift;
    if (port >= 1024 && port <= 65_535) return port;
  }
}

test("a domain and a credential that are added work in sessions that were open before", async () => {
  const session = await world.client();
  await session.startTls();
  await session.say("MAIL FROM:<one@added.test>", "553 5.7.1");
  await session.login("app", "secret", 535);

  await world.apply({
    revision: "test-2",
    domains: [...world.config().domains, { domain: "added.test", state: "Active", reason: "", dkim: [] }],
    credentials: [
      {
        name: "app",
        username: "app",
        passwordHash: await hashPasswordWith("secret", Buffer.alloc(16, 1)),
        domains: ["added.test"],
      },
    ],
  });

  await session.login("app", "secret", 235);
  expect((await session.say("MAIL FROM:<one@added.test>", 250)).code).toBe(250);
});

test("a paused source keeps its mail and says who paused it; resumed, it sends at once", async () => {
  await world.apply({ revision: "paused", ...sourcePaused("listed at example-list") });
  const id = await world.send("one@inbox.test");
  expect(await world.cli("explain", id)).toContain("listed at example-list");
  expect(world.peer("inbox.test").messages).toHaveLength(0);

  await world.apply({ revision: "resumed" });
  await world.peer("inbox.test").until(() => world.peer("inbox.test").messages.length === 1);
});

test("a listener is added and taken away, and the other one's sessions notice nothing", async () => {
  const session = await world.client();
  const { listeners } = world.config();
  const port = await portForConfig();
  const added: RelayConfig["listeners"][number] = {
    name: "submissions",
    port,
    tls: "Implicit",
    auth: "Required",
    trustedNetworks: [],
  };

  await world.apply({ revision: "test-2", listeners: [...listeners, added] });
  const secure = await SmtpClient.connect({ port: port + world.relay.shift, tls: true });
  await secure.expect(220);

  await world.apply({ revision: "test-3", listeners });
  await expect(SmtpClient.connect({ port: port + world.relay.shift })).rejects.toThrow("ECONNREFUSED");
  await session.say("NOOP", 250);
});

test("a replaced certificate is what the next handshake shows, in a session opened before it", async () => {
  const session = await world.client();
  const { cert, key } = await makeCertificate("renewed.example.test");
  const folder = join(world.relay.directory, "config");
  // Two files, one after the other: in between they do not fit, and nothing breaks.
  await writeFile(join(folder, configFiles.certificate), cert);
  await world.relay.until(({ refusal }) => refusal?.includes("is not the key of") === true);
  await writeFile(join(folder, configFiles.certificateKey), key);
  await world.relay.until(({ refusal }) => refusal === null);

  await session.startTls();
  expect(session.peerName).toBe("renewed.example.test");
});

const broken: readonly {
  readonly because: string;
  readonly write: (world: RelayAmongPeers) => Promise<void>;
  readonly reason: RegExp;
}[] = [
  {
    because: "it is no JSON",
    write: ({ relay }) => writeFile(join(relay.directory, "config", configFiles.config), '{ "version": 1,'),
    reason: /JSON/,
  },
  {
    because: "a field is unknown",
    write: ({ relay, config }) =>
      writeFile(
        join(relay.directory, "config", configFiles.config),
        JSON.stringify({ ...config(), revision: "bad", colour: "green" }),
      ),
    reason: /colour/,
  },
  {
    because: "a key file is missing",
    write: ({ relay, config }) =>
      relay.configure(
        config({
          revision: "bad",
          domains: [
            {
              domain: "example.test",
              state: "Active",
              reason: "",
              dkim: [{ selector: "s1", algorithm: "rsa-sha256", file: "nowhere.pem" }],
            },
          ],
        }),
      ),
    reason: /nowhere\.pem/,
  },
];

test.for(broken)("a configuration is refused because $because; the last good one stays", async (bad) => {
  const session = await world.client();
  await bad.write(world);
  const refused = await world.relay.until(({ refusal }) => refusal !== null);

  expect(refused.refusal).toMatch(bad.reason);
  expect(refused).toMatchObject({ appliedRevision: "test-1", ready: true });
  await submit(session, ["one@inbox.test"]);
  await world.peer("inbox.test").until(() => world.peer("inbox.test").messages.length === 1);
  expect((await world.relay.status("/metrics")).text).toMatch(/^smtp_relay_configuration_current 0$/m);

  await world.apply({ revision: "test-2" });
  expect(await world.relay.report()).toMatchObject({ refusal: null, ready: true });
});

test("a port that is taken refuses the configuration as a whole", async () => {
  const session = await world.client();
  const { listeners, domains } = world.config();
  const port = await portForConfig();
  const squatter = createServer().listen(port + world.relay.shift, "127.0.0.1");
  await once(squatter, "listening");

  await world.relay.configure(
    world.config({
      revision: "bad",
      listeners: [
        ...listeners,
        { name: "more", port, tls: "StartTls", auth: "Required", trustedNetworks: [] },
      ],
      domains: [...domains, { domain: "added.test", state: "Active", reason: "", dkim: [] }],
    }),
  );
  const refused = await world.relay.until(({ refusal }) => refusal !== null);
  expect(refused.refusal).toContain(String(port + world.relay.shift));
  expect(refused.appliedRevision).toBe("test-1");
  await session.say("MAIL FROM:<one@added.test>", "553 5.7.1");
  await submit(session, ["one@inbox.test"]);
  await world.peer("inbox.test").until(() => world.peer("inbox.test").messages.length === 1);

  squatter.close();
  await world.apply({ revision: "test-2" });
  expect((await world.relay.report()).refusal).toBeNull();
});
