/** Options of a command line by Node's own parser, for every program of ours: what was typed, or what is wrong with it. */
import { parseArgs, type ParseArgsConfig } from "node:util";

/** A fault is one sentence without its full stop, for what to do next to follow. */
export function readOptions<const Config extends ParseArgsConfig>(
  config: Config,
): ReturnType<typeof parseArgs<Config>> | { readonly fault: string } {
  try {
    return parseArgs(config);
  } catch (error) {
    const { code = "" } = error as NodeJS.ErrnoException;
    if (!(error instanceof Error) || !code.startsWith("ERR_PARSE_ARGS_")) throw error;
    // What follows speaks of positional arguments to whoever mistyped an option.
    return { fault: error.message.split(/\. |\.?\n/, 1)[0] ?? "" };
  }
}
