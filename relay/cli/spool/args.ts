/** `smtp-relay spool …`: what was typed → what is meant, or what to say about it. Pure. */
import { readOptions } from "../../kit/options.ts";
import type { Parsed } from "../order.ts";

export type SpoolOrder =
  | { readonly command: "check"; readonly folder: string; readonly json: boolean }
  | {
      readonly command: "dump";
      readonly folder: string;
      readonly json: boolean;
      /** Null: all of them, as a list. */
      readonly id: string | null;
    }
  /** `target` "-": standard output. */
  | { readonly command: "export"; readonly folder: string; readonly target: string }
  /** `source` "-": standard input. */
  | { readonly command: "import"; readonly folder: string; readonly source: string };

const overview = `smtp-relay spool: a spool in the hand, for when a disk is broken or mail has to move

  smtp-relay spool check FOLDER             reads every record and every body, says what is damaged
  smtp-relay spool dump FOLDER [ID]         what is queued; with an id, that message's envelope and content
  smtp-relay spool export FOLDER DIR        every message that can be read, as ID.eml and ID.json
  smtp-relay spool export FOLDER -          the same as one JSON line a message, to standard output
  smtp-relay spool import DIR FOLDER        puts exported messages into another spool
  smtp-relay spool import - FOLDER          the same from standard input

The relay of that spool has to be stopped. check, dump and export change nothing, so that a copy or a disk
that is mounted read-only will do. import keeps ids, attempts and times, adds what is not there yet, and
may be run again.

FOLDER is the spool's folder: /var/spool/smtp-relay in a pod, STATE/volumes/spool-POD in local mode.
Addresses are shown in full: this is for the person who owns the machine.

Exit code: 0 all is well; 1 something is damaged (and named); 2 it could not be done.

  --json      check, dump: for programs
  --help      this
`;

const seeHelp = 'Try "smtp-relay spool --help".';

export function parseSpoolOrder(argv: readonly string[]): Parsed<SpoolOrder> {
  const wrong = (reason: string) => ({ kind: "wrong", reason: `${reason} ${seeHelp}` }) as const;
  const typed = readOptions({
    args: [...argv],
    allowPositionals: true,
    options: { help: { type: "boolean", short: "h" }, json: { type: "boolean" } },
  });
  if ("fault" in typed) return wrong(`${typed.fault}.`);
  const { values, positionals } = typed;
  const [command, first, second, extra] = positionals;
  if (values.help === true || command === "help") return { kind: "help", text: overview };
  if (command === undefined) return wrong("Say what to do: check, dump, export or import.");
  const json = values.json === true;
  switch (command) {
    case "check":
      if (first === undefined || second !== undefined) return wrong(`"check" takes one folder.`);
      return { kind: "order", order: { command, folder: first, json } };
    case "dump":
      if (first === undefined || extra !== undefined)
        return wrong(`"dump" takes a folder, and an id or none.`);
      return { kind: "order", order: { command, folder: first, json, id: second?.toUpperCase() ?? null } };
    case "export":
      if (first === undefined || second === undefined || extra !== undefined)
        return wrong(`"export" takes the spool's folder, and a folder to write to or "-".`);
      return { kind: "order", order: { command, folder: first, target: second } };
    case "import":
      if (first === undefined || second === undefined || extra !== undefined)
        return wrong(`"import" takes an exported folder or "-", and the folder of the spool it goes to.`);
      return { kind: "order", order: { command, source: first, folder: second } };
    default:
      return wrong(`There is no command "spool ${command}": there are check, dump, export and import.`);
  }
}
