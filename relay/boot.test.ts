import { expect, test } from "vitest";

import { readBoot } from "./boot.ts";

test("a pod needs only its name; the rest are the mount points of the pod template", () => {
  expect(readBoot({ SMTP_RELAY_POD: "mail-0" })).toEqual({
    podName: "mail-0",
    configDir: "/etc/smtp-relay",
    spoolDir: "/var/spool/smtp-relay",
    adminSocket: "/var/spool/smtp-relay/admin.sock",
    bindAddress: undefined,
    portShift: 0,
    logLevel: "info",
  });
});

test.each([
  [{}, "SMTP_RELAY_POD must name the pod"],
  [
    { SMTP_RELAY_POD: "mail-0", SMTP_RELAY_BIND: "localhost" },
    'SMTP_RELAY_BIND must be an IP address, it is "localhost"',
  ],
  [
    { SMTP_RELAY_POD: "mail-0", SMTP_RELAY_PORT_SHIFT: "ten" },
    'SMTP_RELAY_PORT_SHIFT must be a whole number of ports, it is "ten"',
  ],
  [{ SMTP_RELAY_POD: "mail-0", SMTP_RELAY_LOG_LEVEL: "loud" }, "must be one of debug, info, warn, error"],
])("a wrong environment is refused by name: %j", (environment, message) => {
  expect(() => readBoot(environment)).toThrow(message);
});
