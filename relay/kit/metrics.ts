/**
 * Series with their documentation beside their name: a program's declarations are its reference page.
 *
 * Label values come from closed sets. A value outside the list, or beyond the bound of an open one, is
 * counted as "other", so that no stranger can make a series; mail addresses and recipient domains have no
 * label to go into.
 */
import { Counter, Gauge, Histogram, type Registry } from "prom-client";

export type LabelValues =
  /** These and no others. */
  | readonly string[]
  /** What configuration names, up to a bound. */
  | { readonly of: string; readonly atMost: number };

export interface Declaration<Label extends string> {
  readonly name: string;
  /** One line, for HELP. */
  readonly help: string;
  /** What to read in it, and when to worry; for the reference page. */
  readonly doc: string;
  readonly labels: Readonly<Record<Label, LabelValues>>;
}

export interface Declared extends Declaration<string> {
  readonly type: "counter" | "gauge" | "histogram";
}

type Labels<Label extends string> = Readonly<Record<Label, string>>;

export interface Count<Label extends string> {
  add(labels: Labels<Label>, amount?: number): void;
}
export interface Level<Label extends string> {
  set(labels: Labels<Label>, value: number): void;
  /** Forgets every value, before the levels of now are set. */
  clear(): void;
}
export interface Distribution<Label extends string> {
  observe(labels: Labels<Label>, value: number): void;
}

export const OTHER = "other";

export class MetricBook {
  readonly #registry: Registry;
  readonly #declared: Declared[] = [];

  constructor(registry: Registry) {
    this.#registry = registry;
  }

  get declared(): readonly Declared[] {
    return this.#declared;
  }

  counter<const Label extends string>(declaration: Declaration<Label>): Count<Label> {
    const counter = new Counter({ ...this.#enter("counter", declaration), registers: [this.#registry] });
    const bounded = bounds(declaration);
    if (Object.keys(declaration.labels).length === 0) counter.inc(0);
    const series = remembered(bounded, (values: Record<Label, string>) => counter.labels(values));
    return { add: (labels, amount = 1) => series(labels).inc(amount) };
  }

  /** `collect` is called at each scrape, before the values are read. */
  gauge<const Label extends string>(declaration: Declaration<Label>, collect?: () => void): Level<Label> {
    const gauge = new Gauge({
      ...this.#enter("gauge", declaration),
      registers: [this.#registry],
      ...(collect === undefined ? {} : { collect }),
    });
    const bounded = bounds(declaration);
    return { set: (labels, value) => gauge.set(bounded(labels), value), clear: () => gauge.reset() };
  }

  histogram<const Label extends string>(
    declaration: Declaration<Label> & { readonly buckets: readonly number[] },
  ): Distribution<Label> {
    const histogram = new Histogram({
      ...this.#enter("histogram", declaration),
      buckets: [...declaration.buckets],
      registers: [this.#registry],
    });
    const bounded = bounds(declaration);
    const series = remembered(bounded, (values: Record<Label, string>) => histogram.labels(values));
    return { observe: (labels, value) => series(labels).observe(value) };
  }

  #enter<Label extends string>(
    type: Declared["type"],
    declaration: Declaration<Label>,
  ): { name: string; help: string; labelNames: Label[] } {
    this.#declared.push({ ...declaration, type });
    return {
      name: declaration.name,
      help: declaration.help,
      labelNames: Object.keys(declaration.labels) as Label[],
    };
  }
}

/** The series of a set of label values, looked up in the registry once: they are few, since values are bounded. */
function remembered<Label extends string, Series>(
  bounded: (labels: Labels<Label>) => Record<Label, string>,
  seriesOf: (labels: Record<Label, string>) => Series,
): (labels: Labels<Label>) => Series {
  const known = new Map<string, Series>();
  return (labels) => {
    const values = bounded(labels);
    let key = "";
    for (const label in values) key += `${values[label]}\n`;
    let series = known.get(key);
    if (series === undefined) known.set(key, (series = seriesOf(values)));
    return series;
  };
}

/** Turns values that are not (or no longer) let in into "other". */
function bounds<Label extends string>(declaration: Declaration<Label>) {
  const allowed = (Object.keys(declaration.labels) as Label[]).map((label) => {
    const values = declaration.labels[label];
    const known = new Set("of" in values ? [] : values);
    const most = "of" in values ? values.atMost : 0;
    return { label, known, most };
  });
  return (labels: Labels<Label>): Record<Label, string> => {
    const kept = {} as Record<Label, string>;
    for (const { label, known, most } of allowed) {
      const value = labels[label];
      if (!known.has(value) && known.size < most) known.add(value);
      kept[label] = known.has(value) ? value : OTHER;
    }
    return kept;
  };
}

/** The reference page of a program's series, in Markdown. */
export function metricsPage(title: string, introduction: string, declared: readonly Declared[]): string {
  const sections = declared.map((metric) => {
    const labels = Object.entries<LabelValues>(metric.labels).map(([label, values]) => {
      const meaning =
        "of" in values
          ? `${values.of} (at most ${values.atMost})`
          : values.map((value) => `\`${value}\``).join(", ");
      return `- \`${label}\`: ${meaning}`;
    });
    return [
      `## \`${metric.name}\``,
      "",
      `${metric.type}. ${metric.help}`,
      "",
      metric.doc,
      ...(labels.length > 0 ? ["", ...labels] : []),
    ].join("\n");
  });
  return `${[`# ${title}`, introduction, ...sections].join("\n\n")}\n`;
}
