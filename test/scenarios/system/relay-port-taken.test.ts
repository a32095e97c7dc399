/** A port that another program has: the relay goes on as it was, says so, and takes the port when it is free. */
import { once } from "node:events";
import { createServer, type Server } from "node:net";

import { expect, test } from "vitest";

import { startRelay, testConfig } from "../../support/relayProcess.ts";
import { SmtpClient } from "../../support/smtpClient.ts";

test("a configuration whose port is taken is put in force once the port is free, without another change", async () => {
  let listenerPort = 0;
  await using relay = await startRelay({
    config: (port) => testConfig({ listenerPort: (listenerPort = port) }),
  });
  // Beside the relay's own, so that it is a port in the configuration too, before the shift.
  let taken = relay.port + 1;
  let other = await occupy(taken);
  while (other === null) other = await occupy(++taken);
  const config = testConfig({ listenerPort });

  await relay.configure({
    ...config,
    revision: "test-2",
    listeners: [
      ...config.listeners,
      { name: "second", port: taken - relay.shift, tls: "StartTls", auth: "Optional", trustedNetworks: [] },
    ],
  });
  const refused = await relay.until(({ refusal }) => refusal !== null);
  expect(refused.refusal).toContain(`Cannot open listener second on 127.0.0.1:${taken}: the port is in use`);
  expect(refused).toMatchObject({ appliedRevision: "test-1", ready: true });
  const client = await SmtpClient.connect({ port: relay.port });
  await client.expect(220);

  other.close();
  await once(other, "close");
  const applied = await relay.until(({ appliedRevision }) => appliedRevision === "test-2");
  expect(applied.refusal).toBeNull();
  const second = await SmtpClient.connect({ port: taken });
  await second.expect(220);
});

/** A server on the port, or null when somebody has it. */
async function occupy(port: number): Promise<Server | null> {
  const server = createServer();
  server.listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
    return server;
  } catch {
    return null;
  }
}
