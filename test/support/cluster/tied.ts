/**
 * Programs whose life is tied to ours: the kernel ends them when this process ends, also by kill -9, so that an
 * interrupted test run leaves no API server behind. Where util-linux' setpriv is missing they are plain children.
 */
import { findProgram } from "../peers/debian.ts";
import { type Program, startProgram } from "../peers/program.ts";

export function startTied(command: string, words: readonly string[]): Program {
  const setpriv = findProgram("setpriv");
  // It becomes the program (PR_SET_PDEATHSIG of prctl(2) stays over exec), so the process id is the program's.
  return setpriv === undefined
    ? startProgram(command, words)
    : startProgram(setpriv, ["--pdeathsig", "KILL", "--", command, ...words]);
}
