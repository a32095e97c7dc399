import { expect, test } from "vitest";

import { parseSpoolOrder } from "./args.ts";

test.each([
  [["check", "/s"], { command: "check", folder: "/s", json: false }],
  [["dump", "/s", "--json"], { command: "dump", folder: "/s", json: true, id: null }],
  [["dump", "/s", "01jdcz"], { command: "dump", folder: "/s", json: false, id: "01JDCZ" }],
  [["export", "/s", "-"], { command: "export", folder: "/s", target: "-" }],
  [["import", "-", "/s"], { command: "import", folder: "/s", source: "-" }],
])("%j is understood", (argv, order) => {
  expect(parseSpoolOrder(argv)).toEqual({ kind: "order", order });
});

test.each([
  [[], "Say what to do: check, dump, export or import."],
  [["chek", "/s"], 'There is no command "spool chek": there are check, dump, export and import.'],
  [["check"], '"check" takes one folder.'],
  [["check", "/s", "/t"], '"check" takes one folder.'],
  [["dump"], '"dump" takes a folder, and an id or none.'],
  [["export", "/s"], `"export" takes the spool's folder, and a folder to write to or "-".`],
  [["import", "/s"], '"import" takes an exported folder or "-", and the folder of the spool it goes to.'],
  [["check", "/s", "--all.of.it"], "Unknown option '--all.of.it'."],
])("%j is refused with the next step", (argv, reason) => {
  expect(parseSpoolOrder(argv)).toEqual({
    kind: "wrong",
    reason: `${reason} Try "smtp-relay spool --help".`,
  });
});

test.each([[["--help"]], [["help"]], [["check", "-h"]]])("%j helps", (argv) => {
  expect(parseSpoolOrder(argv)).toEqual({ kind: "help", text: expect.stringMatching(/^smtp-relay spool:/) });
});
