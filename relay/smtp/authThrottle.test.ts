import { expect, test } from "vitest";

import { FakeClock } from "../../test/support/fakeClock.ts";
import { AuthThrottle, defaultThrottleLimits } from "./authThrottle.ts";

const client = "192.0.2.7";

function failing(times: number, throttle: AuthThrottle, from = client, user = "app"): number[] {
  return Array.from({ length: times }, () => throttle.failed(from, user));
}

test("five failures are free, the next ones wait 1, 2, 4, 8, 16 seconds, the tenth locks for 15 minutes", async () => {
  const clock = new FakeClock();
  const throttle = new AuthThrottle({ clock });

  expect(failing(9, throttle)).toEqual([0, 0, 0, 0, 0, 1000, 2000, 4000, 8000]);
  expect(throttle.lockedSeconds(client, "app")).toBe(0);
  expect(failing(1, throttle)).toEqual([16_000]);
  expect(throttle.lockedSeconds(client, "app")).toBe(900);
  await clock.advance(899_000);
  expect(throttle.lockedSeconds(client, "app")).toBe(1);
  await clock.advance(1_000);
  expect(throttle.lockedSeconds(client, "app")).toBe(0);
  expect(failing(1, throttle)).toEqual([0]);
});

test("another client and another user are not touched", () => {
  const throttle = new AuthThrottle({ clock: new FakeClock() });
  failing(10, throttle);

  expect(throttle.lockedSeconds("192.0.2.8", "app")).toBe(0);
  expect(throttle.lockedSeconds(client, "crm")).toBe(0);
});

test("one client failing at a hundred names is locked out for all of them", () => {
  const throttle = new AuthThrottle({ clock: new FakeClock() });
  for (let user = 0; user < 100; user++) throttle.failed(client, `user${user}`);

  expect(throttle.lockedSeconds(client, "somebody")).toBe(900);
  expect(throttle.lockedSeconds("192.0.2.8", "somebody")).toBe(0);
});

test("the right password clears what failed in that name", () => {
  const throttle = new AuthThrottle({ clock: new FakeClock() });
  failing(9, throttle);
  throttle.succeeded(client, "app");

  expect(failing(1, throttle)).toEqual([0]);
});

test("addresses of one IPv6 /64 are one client", () => {
  const throttle = new AuthThrottle({ clock: new FakeClock() });
  for (let host = 1; host <= 10; host++) throttle.failed(`2001:db8:0:1::${host.toString(16)}`, "app");

  expect(throttle.lockedSeconds("2001:db8:0:1:aaaa:bbbb:cccc:dddd", "app")).toBe(900);
  expect(throttle.lockedSeconds("2001:db8::2:0:0:0:1", "app")).toBe(0);
});

test("the table is bounded and forgets who failed longest ago", () => {
  const throttle = new AuthThrottle({
    clock: new FakeClock(),
    limits: { ...defaultThrottleLimits, mostEntries: 2 },
  });
  failing(10, throttle, "192.0.2.1");
  failing(10, throttle, "192.0.2.2");
  failing(1, throttle, "192.0.2.3");

  expect(throttle.lockedSeconds("192.0.2.1", "app")).toBe(0);
  expect(throttle.lockedSeconds("192.0.2.2", "app")).toBe(900);
});
