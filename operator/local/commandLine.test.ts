import { expect, test } from "vitest";

import { readCommandLine } from "./commandLine.ts";

test("the folder is enough; everything else has a default that is safe on a real machine", () => {
  expect(readCommandLine(["local", "-f", "manifests"])).toEqual({
    kind: "local",
    options: {
      folder: "manifests",
      state: ".smtp-relay",
      dns: { kind: "system" },
      deliveryPort: 25,
      singleAddress: false,
      verbose: false,
    },
  });
});

test.each([
  [["--dns", "loopback"], { kind: "loopback" }],
  [["--dns", "192.0.2.53:53"], { kind: "server", address: "192.0.2.53:53" }],
  [["--dns", "[2001:db8::53]:53"], { kind: "server", address: "[2001:db8::53]:53" }],
])("%j is understood", (words, dns) => {
  expect(readCommandLine(["local", "-f", "m", ...words])).toMatchObject({ options: { dns } });
});

test.each([
  [[], "a command is missing"],
  [["lokal"], 'unknown command "lokal"'],
  [["local"], "the folder of manifests is missing: -f DIR"],
  [["local", "manifests"], 'unexpected word "manifests": the folder comes after -f'],
  [["local", "-f", "m", "--stat", "x"], "Unknown option '--stat'"],
  [["local", "-f", "m", "--state", "--verbose"], "Option '--state' argument is ambiguous\nSee"],
  [["local", "-f", "m", "--dns", "dns.example"], "--dns dns.example: must be"],
  [["local", "-f", "m", "--dns", "192.0.2.53:0"], "--dns 192.0.2.53:0: must be"],
  [["local", "-f", "m", "--delivery-port", "0"], "--delivery-port 0: must be a port"],
  [["local", "-f", "m", "--delivery-port", "2e1"], "--delivery-port 2e1: must be a port"],
])("%j is refused with the next step", (words, text) => {
  const read = readCommandLine(words);

  expect(read.kind).toBe("refused");
  expect(read.kind === "refused" && read.text).toContain(text);
  expect(read.kind === "refused" && read.text).toContain("See smtp-relay-operator --help.");
});

test("help is given wherever it is asked for", () => {
  for (const words of [["--help"], ["-h"], ["help"], ["local", "--help"]]) {
    expect(readCommandLine(words).kind).toBe("help");
  }
});
