/**
 * All reply rules in the order they are asked: those of the provider first, then those for everyone.
 * Rules are data; each has its source and an example that it must be the first to match.
 */
import type { ReplyRule } from "./replyRule.ts";
import { anyRules } from "./rules/any.ts";
import { appleRules } from "./rules/apple.ts";
import { filterRules } from "./rules/filters.ts";
import { frenchRules } from "./rules/french.ts";
import { googleRules } from "./rules/google.ts";
import { microsoftRules } from "./rules/microsoft.ts";
import { yahooRules } from "./rules/yahoo.ts";

export const replyRules: readonly ReplyRule[] = [
  ...googleRules,
  ...yahooRules,
  ...microsoftRules,
  ...appleRules,
  ...frenchRules,
  ...filterRules,
  ...anyRules,
];
