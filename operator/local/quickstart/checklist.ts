/**
 * Steps that are shown as they come true: a line that moves while a step is under way, a ✔ with what was
 * found when it is done, a ✖ with the reason when it is not.
 */
import { type Clock, sleep } from "../../../relay/kit/clock.ts";
import type { LocalMode } from "../localMode.ts";
import type { Terminal } from "../terminal.ts";

const NAME_WIDTH = 15;
/** Piped output shows what a step waits for only when that takes longer. */
const PATIENCE_MS = 3_000;
const LOOK_MS = 200;

/** A step that did not come true; what it waited for last. */
export class StepFailed extends Error {
  override readonly name = "StepFailed";
}

/** Whether the state of things is as wished, and if not, what is still missing. */
export type Look<T> = { readonly done: T } | { readonly missing: string };

export class Checklist {
  readonly #terminal: Terminal;
  readonly #clock: Clock;

  constructor(options: { terminal: Terminal; clock: Clock }) {
    this.#terminal = options.terminal;
    this.#clock = options.clock;
  }

  /** Runs `work`, which may say how far it is, and shows the line it resolves to. */
  async step(name: string, work: (progress: (text: string) => void) => Promise<string>): Promise<void> {
    let text = "";
    const startedAt = this.#clock.now();
    this.#terminal.show(() => {
      const visible = this.#terminal.isTty || this.#clock.now() - startedAt > PATIENCE_MS;
      const lines = visible ? [line("…", name, text)] : [];
      return { key: lines.join(""), lines: () => lines };
    });
    try {
      const found = await work((progress) => {
        text = progress;
      });
      this.#terminal.clear();
      this.#terminal.say(line("✔", name, found));
    } catch (error) {
      this.#terminal.clear();
      if (!(error instanceof StepFailed)) throw error;
      this.#terminal.say(line("✖", name, error.message));
      throw error;
    }
  }

  /** Says what a person should know beside the steps. */
  note(text: string): void {
    this.#terminal.say(line(" ", "", text));
  }
}

/** Looks again whenever something changed, until it is done or the time is over. */
export async function untilTrue<T>(
  local: LocalMode,
  options: { readonly clock: Clock; readonly seconds: number; readonly progress: (text: string) => void },
  look: () => Look<T>,
): Promise<T> {
  const deadline = options.clock.now() + options.seconds * 1000;
  for (;;) {
    const seen = look();
    if ("done" in seen) return seen.done;
    options.progress(seen.missing);
    if (options.clock.now() >= deadline) {
      throw new StepFailed(`after ${options.seconds} s still missing: ${seen.missing}`);
    }
    const woken = new AbortController();
    const unlisten = local.onChange(() => woken.abort());
    await sleep(options.clock, LOOK_MS, woken.signal);
    unlisten();
  }
}

function line(mark: string, name: string, text: string): string {
  return `  ${mark} ${name.padEnd(NAME_WIDTH)}${text}`;
}
