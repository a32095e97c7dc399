/**
 * What local mode says: lines that stay, and below them, in a terminal, a few lines that are redrawn in
 * place. Piped into a file, nothing is redrawn: the lower lines are printed again when they changed in
 * more than the passing of time.
 */
import type { Clock } from "../../relay/kit/clock.ts";
import { cut, oneLine } from "../../relay/kit/table.ts";

export interface TerminalOptions {
  readonly write: (text: string) => void;
  /** Null when piped; else columns and rows, asked at each drawing. */
  readonly size: (() => { readonly columns: number; readonly rows: number }) | null;
  readonly clock: Clock;
}

/** The lower lines: as they look now, and the part of them that is news. */
export interface LiveView {
  lines(width: number | null): readonly string[];
  /** What differs when something happened; the rest is the passing of time. */
  readonly key: string;
}

const REFRESH_MS = 1_000;
/** Time alone moves the lines this often, so that a person can select text in between. */
const PASSING_TIME_MS = 10_000;

export class Terminal {
  readonly #options: TerminalOptions;
  #view: (() => LiveView) | null = null;
  #drawn: readonly string[] = [];
  #drawnAt = 0;
  #printedKey: string | null = null;
  #cancel = () => {};

  constructor(options: TerminalOptions) {
    this.#options = options;
  }

  get isTty(): boolean {
    return this.#options.size !== null;
  }

  /** Prints lines that stay. Control characters of strangers become spaces. */
  say(...lines: readonly string[]): void {
    this.#erase();
    this.#options.write(lines.map((line) => `${oneLine(line)}\n`).join(""));
    this.#draw();
  }

  /** Shows `view` below everything said, looked at once a second. */
  show(view: () => LiveView): void {
    this.#cancel();
    this.#view = view;
    this.#printedKey = null;
    this.#tick();
  }

  /** Leaves the lower lines as they are and redraws them no more. */
  freeze(): void {
    this.#cancel();
    this.#view = null;
    this.#drawn = [];
  }

  /** Takes the lower lines away. */
  clear(): void {
    this.#erase();
    this.freeze();
  }

  #tick(): void {
    this.#refresh();
    this.#cancel = this.#options.clock.after(REFRESH_MS, () => this.#tick());
  }

  #refresh(): void {
    const { size, write } = this.#options;
    if (this.#view === null) return;
    if (size === null) {
      const view = this.#view();
      if (view.key === this.#printedKey) return;
      this.#printedKey = view.key;
      write(
        view
          .lines(null)
          .map((line) => `${line}\n`)
          .join(""),
      );
      return;
    }
    const { key } = this.#view();
    const now = this.#options.clock.now();
    if (key === this.#printedKey && now - this.#drawnAt < PASSING_TIME_MS) return;
    if (this.#fitted().join("\n") === this.#drawn.join("\n")) return;
    this.#printedKey = key;
    this.#erase();
    this.#draw();
  }

  #draw(): void {
    if (this.#options.size === null || this.#view === null) return;
    this.#drawn = this.#fitted();
    this.#drawnAt = this.#options.clock.now();
    this.#options.write(this.#drawn.map((line) => `${line}\n`).join(""));
  }

  /** Cut to the screen: a line that wraps or a table longer than it could not be erased again. */
  #fitted(): string[] {
    const size = this.#options.size?.();
    const view = this.#view?.();
    if (size === undefined || view === undefined) return [];
    const lines = view.lines(size.columns).map((line) => cut(line, size.columns));
    const most = Math.max(1, size.rows - 2);
    return lines.length <= most
      ? lines
      : [...lines.slice(0, most - 1), `… and ${lines.length - most + 1} more`];
  }

  #erase(): void {
    if (this.#drawn.length > 0) this.#options.write(`\u001b[${this.#drawn.length}A\u001b[0J`);
    this.#drawn = [];
  }
}

/** The terminal on standard output. */
export function standardTerminal(clock: Clock): Terminal {
  const out = process.stdout;
  return new Terminal({
    write: (text) => void out.write(text),
    size: out.isTTY ? () => ({ columns: out.columns || 80, rows: out.rows || 24 }) : null,
    clock,
  });
}
