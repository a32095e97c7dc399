/** Runs cases of the long queue and prints their figures beside what counts as done. */
import { renderTable } from "../../relay/kit/table.ts";
import type { BacklogCase, Figure } from "./backlog.ts";

export async function runBacklogCases(
  cases: readonly BacklogCase[],
  options: {
    readonly repetitions: number;
    readonly kept: string | null;
    readonly json: boolean;
    readonly scale: number;
  },
): Promise<void> {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  const results: { readonly case: string; readonly figures: readonly Figure[] }[] = [];
  for (const entry of cases) {
    results.push({ case: entry.name, figures: await entry.run({ ...options, say }) });
  }
  if (options.json) {
    console.log(JSON.stringify({ repetitions: options.repetitions, cases: results }, null, 2));
    return;
  }
  const show = (value: number | null, { unit }: Figure) =>
    value === null
      ? ""
      : `${value.toFixed(unit === "MiB" || unit === "1" ? 0 : 2)}${unit === "1" ? "" : ` ${unit}`}`;
  const lines = renderTable({
    columns: ["CASE", "WHAT", "MEASURED", "MUST", "GOAL", ""].map((header) => ({ header })),
    rows: results.flatMap(({ case: name, figures }) =>
      figures.map((figure) => [
        name,
        figure.name,
        show(figure.value, figure),
        show(figure.must, figure),
        show(figure.goal, figure),
        verdict(figure),
      ]),
    ),
    width: null,
  });
  console.log(lines.join("\n"));
}

function verdict({ value, must, goal, atLeast }: Figure): string {
  const meets = (line: number) => (atLeast === true ? value >= line : value <= line);
  if (must === null || goal === null) return "";
  return meets(goal) ? "goal" : meets(must) ? "must" : "MISSED";
}
