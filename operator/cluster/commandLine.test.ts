/** The words of `run`. */
import { expect, test } from "vitest";

import { readRunCommand } from "./commandLine.ts";

const image = ["--relay-image", "registry.example.com/relay:1"];

test("without flags but the image, all namespaces are served, alone, on the usual port", () => {
  expect(readRunCommand(image)).toEqual({
    kind: "run",
    options: {
      namespaces: null,
      leaderElect: false,
      leaseNamespace: null,
      leaseName: "smtp-relay-operator",
      metricsPort: 8080,
      relayImage: "registry.example.com/relay:1",
      deliveryPort: 25,
      kubeconfig: null,
      context: null,
      logLevel: "info",
    },
  });
});

test("every flag arrives; a namespace named twice is served once", () => {
  const words = "-n mail --namespace more -n mail --leader-elect --lease-name l --lease-namespace ops";
  const rest = "--metrics-port 0 --delivery-port 2525 --kubeconfig k --context c --log-level debug";

  expect(readRunCommand([...image, ...words.split(" "), ...rest.split(" ")])).toMatchObject({
    kind: "run",
    options: {
      namespaces: ["mail", "more"],
      leaderElect: true,
      leaseNamespace: "ops",
      leaseName: "l",
      metricsPort: 0,
      deliveryPort: 2525,
      kubeconfig: "k",
      context: "c",
      logLevel: "debug",
    },
  });
});

test.each([
  [[], "--relay-image"],
  [[...image, "--namespace", "Not A Name"], '"Not A Name" is not a name'],
  [[...image, "--lease-name", "a/b"], '"a/b" is not a name'],
  [[...image, "--metrics-port", "65536"], "must be a port from 0 to 65535"],
  [[...image, "--delivery-port", "0"], "must be a port from 1 to 65535"],
  [[...image, "--log-level", "loud"], "must be one of debug, info, warn, error"],
  [[...image, "--colour"], "Unknown option '--colour'"],
  [[...image, "extra"], "Unexpected argument 'extra'"],
])("%j is refused with a reason", (words, reason) => {
  const command = readRunCommand(words);

  expect(command.kind).toBe("refused");
  expect(command.kind === "run" ? "" : command.text).toContain(reason);
});
