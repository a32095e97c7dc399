/**
 * Tables for people: columns as wide as their longest cell, numbers to the right, and in a terminal
 * never wider than it. Both commands and the local mode print with it. Pure: text in, lines out.
 *
 * Cells may come from strangers (a peer's reply, a header): control characters are made visible as
 * spaces, so that nobody can move the reader's cursor or change a colour.
 */

export interface TableColumn {
  readonly header: string;
  readonly align?: "left" | "right";
  /** How narrow the column may become when the table is wider than the terminal; absent: not at all. */
  readonly shrinkTo?: number;
}

export interface Table {
  readonly columns: readonly TableColumn[];
  /** One cell a column; missing ones are empty. */
  readonly rows: readonly (readonly string[])[];
  /** Characters that fit in a line; null when piped: nothing is cut. */
  readonly width: number | null;
}

const GAP = "   ";
const ELLIPSIS = "…";

/** The lines of the table, header first, without trailing spaces. */
export function renderTable(table: Table): string[] {
  const rows = table.rows.map((row) => table.columns.map((_, index) => oneLine(row[index] ?? "")));
  const widths = table.columns.map((column, index) =>
    Math.max(length(column.header), ...rows.map((row) => length(row[index] ?? ""))),
  );
  if (table.width !== null) shrink(widths, table.columns, table.width);
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) =>
        pad(cut(cell, widths[index] ?? 0), widths[index] ?? 0, table.columns[index]?.align),
      )
      .join(GAP)
      .trimEnd();
  return [line(table.columns.map((column) => column.header)), ...rows.map(line)];
}

/** Takes from the widest column that may shrink, one character at a time, until the table fits or none may. */
function shrink(widths: number[], columns: readonly TableColumn[], fits: number): void {
  let excess = widths.reduce((sum, width) => sum + width, 0) + GAP.length * (widths.length - 1) - fits;
  while (excess > 0) {
    let widest = -1;
    for (const [index, column] of columns.entries()) {
      const width = widths[index] ?? 0;
      if (column.shrinkTo === undefined || width <= Math.max(1, column.shrinkTo)) continue;
      if (widest < 0 || width > (widths[widest] ?? 0)) widest = index;
    }
    if (widest < 0) return;
    widths[widest] = (widths[widest] ?? 0) - 1;
    excess--;
  }
}

/** At most `width` characters; what was cut is shown by an ellipsis. */
export function cut(text: string, width: number): string {
  if (length(text) <= width) return text;
  return (
    Array.from(text)
      .slice(0, Math.max(0, width - 1))
      .join("") + (width > 0 ? ELLIPSIS : "")
  );
}

/** The text on one line, control characters (also C1 and Unicode direction marks) as single spaces. */
export function oneLine(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069]+/gu, " ");
}

function pad(text: string, width: number, align: TableColumn["align"]): string {
  const space = " ".repeat(Math.max(0, width - length(text)));
  return align === "right" ? space + text : text + space;
}

function length(text: string): number {
  return Array.from(text).length;
}
