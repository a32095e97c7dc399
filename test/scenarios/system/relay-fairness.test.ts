/**
 * The whole program between peers that keep it waiting, on real sockets: one that accepts connections and
 * never says a word, one that trickles its greeting, five where nobody listens. Others' mail is through
 * while all of them still stand open.
 */
import { createServer, type Socket } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";

import { systemClock } from "../../../relay/kit/clock.ts";
import { relayAmongPeers, type RelayAmongPeers, submit } from "../../support/relayAmongPeers.ts";
import { smtpPeer } from "../../support/smtpPeer.ts";

const MAILING = 40;
/** Connections to a site that has not answered yet (relay/queue/paths.ts). */
const UNPROVEN = 2;

let world: RelayAmongPeers;
/** Sessions that hear another line of a greeting without end, and are never greeted. */
const trickled = new Set<Socket>();
const trickler = createServer((socket) => {
  trickled.add(socket);
  socket.on("error", () => {});
  const trickle = (): void => {
    if (!trickled.has(socket)) return;
    socket.write("220-still here\r\n");
    systemClock.after(100, trickle);
  };
  trickle();
  socket.on("close", () => trickled.delete(socket));
});

beforeAll(async () => {
  world = await relayAmongPeers({
    peers: { "good.test": smtpPeer(), "new.test": smtpPeer(), "silent.test": smtpPeer().hangAt("CONNECT") },
  });
  const { port } = world.peer("good.test");
  await new Promise<void>((resolve) => trickler.listen(port, "127.0.3.9", resolve));
  world.dns.set("trickle.test", { MX: [[10, "mx.trickle.test"]] });
  world.dns.set("mx.trickle.test", { A: ["127.0.3.9"] });
  for (let index = 0; index < 5; index++) {
    world.dns.set(`dead${index}.test`, { MX: [[10, `mx.dead${index}.test`]] });
    world.dns.set(`mx.dead${index}.test`, { A: [`127.0.3.${index + 1}`] });
  }
});
afterAll(async () => {
  await world[Symbol.asyncDispose]();
  for (const socket of trickled) socket.destroy();
  await new Promise((resolve) => trickler.close(resolve));
});

test("mail for others is through while silent and trickling peers still stand open", async () => {
  const session = await world.client();
  for (let index = 0; index < MAILING; index++) {
    await submit(session, [
      `u${index}@silent.test`,
      `u${index}@trickle.test`,
      `u${index}@dead${index % 5}.test`,
    ]);
  }
  const silent = world.peer("silent.test");
  await silent.until(() => silent.sessions.length === UNPROVEN);

  const began = performance.now();
  for (let index = 0; index < 10; index++) await submit(session, [`u${index}@good.test`]);
  await submit(session, ["one@new.test"]);
  const good = world.peer("good.test");
  const fresh = world.peer("new.test");
  await good.until(() => good.messages.length === 10);
  await fresh.until(() => fresh.messages.length === 1);
  const took = Math.round(performance.now() - began);

  // None of those that keep us waiting has been given up: nobody waited for that.
  const open = silent.sessions.filter((each) => each.open).length;
  console.info(
    `11 messages to two sites in ${took} ms, behind ${MAILING * 3} that wait at ${open} silent and ${trickled.size} trickling sessions (bound ${UNPROVEN} each) and 5 dead hosts`,
  );
  expect(open).toBe(UNPROVEN);
  expect(silent.sessions).toHaveLength(UNPROVEN);
  expect(trickled.size).toBe(UNPROVEN);
});

test("each of those that wait says for what", async () => {
  const queue = await world.cli("queue");

  expect(queue).toMatch(
    /mx\.silent\.test .*all 2 connections of address \S+ to site mx\.silent\.test are in use/,
  );
  expect(queue).toMatch(/mx\.trickle\.test .*all 2 connections/);
  for (let index = 0; index < 5; index++) {
    expect(queue).toMatch(new RegExp(`mx\\.dead${index}\\.test .*(not tried from|tried \\d+ time)`));
  }
  expect(queue).not.toContain("good.test");
});
