import { expect, test } from "vitest";

import { parseOrder } from "./args.ts";

const order = { command: "queue", id: "", json: false, ids: false, state: null, socket: null };

test.each([
  [["queue"], order],
  [["queue", "--ids", "--json"], { ...order, ids: true, json: true }],
  [["explain", "01jdcz"], { ...order, command: "explain", id: "01JDCZ" }],
  [["--state", "here", "show", "01JDCZ"], { ...order, command: "show", id: "01JDCZ", state: "here" }],
  [["queue", "--socket=/s"], { ...order, socket: "/s" }],
])("%j is understood", (argv, expected) => {
  expect(parseOrder(argv)).toEqual({ kind: "order", order: expected });
});

test.each([
  [[], /Say what to look at: queue, show ID or explain ID/],
  [["que"], /There is no command "que": there are queue, show and explain/],
  [["explain"], /"explain" needs the ID of a message: "smtp-relay queue --ids"/],
  [["explain", "a", "b"], /takes one ID, not also "b"/],
  [["explain", "a@b"], /"a@b" is no message id/],
  [["queue", "01J"], /"explain 01J" says why that message waits/],
  [["queue", "--colour"], /^Unknown option '--colour'\. Try "smtp-relay --help"\.$/],
  [["queue", "--no.such"], /^Unknown option '--no\.such'\. Try/],
  [["queue", "--state"], /--state/],
  [["queue", "--state", "a", "--socket", "b"], /--state or --socket, not both/],
])("%j is refused with the next step", (argv, reason) => {
  expect(parseOrder(argv)).toEqual({ kind: "wrong", reason: expect.stringMatching(reason) });
});

test.each([
  [["--help"], /smtp-relay queue {10}/],
  [["help"], /Which relays are asked/],
  [["queue", "--help"], /BINDING RULE {3}the one rule/],
  [["help", "explain"], /because {4}the rule that binds now/],
  [["show", "-h"], /One queued message/],
])("%j helps", (argv, text) => {
  expect(parseOrder(argv)).toEqual({ kind: "help", text: expect.stringMatching(text) });
});
