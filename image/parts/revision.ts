/** Which source an image is made of, and the one moment that stands in it. Never the time of building. */
import { runToEnd } from "./command.ts";

export interface Revision {
  /** Commit, with "-dirty" where the working tree differs from it; null outside Git. */
  readonly commit: string | null;
  /** RFC 3339. */
  readonly created: string;
}

export async function revisionOf(tree: string, environment: NodeJS.ProcessEnv): Promise<Revision> {
  const git = async (...words: string[]) => {
    const { code, out } = await runToEnd("git", ["-C", tree, ...words]);
    return code === 0 ? out.toString("utf8").trim() : null;
  };
  const head = await git("log", "-1", "--format=%H %ct");
  const [commit, committedAt] = head?.split(" ") ?? [];
  const changed = commit === undefined ? "" : await git("status", "--porcelain");
  return {
    commit: commit === undefined ? null : `${commit}${changed === "" ? "" : "-dirty"}`,
    created: instant(environment["SOURCE_DATE_EPOCH"] ?? committedAt ?? "0"),
  };
}

/** https://reproducible-builds.org/specs/source-date-epoch: whole seconds since 1970. */
function instant(seconds: string): string {
  if (!/^\d{1,11}$/.test(seconds)) {
    throw new Error(
      `Cannot date the image: SOURCE_DATE_EPOCH must be whole seconds since 1970, it is "${seconds}".`,
    );
  }
  return new Date(Number(seconds) * 1000).toISOString().replace(".000Z", "Z");
}
