/**
 * docs/pictures/warmup.svg: the ramps as curves, drawn from the data the operator uses.
 * Run it to write the file (`npm run generate` does); the test beside it fails when the file is stale.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { rampOf } from "../../operator/warmup/profile.ts";

export const pictureFile = join(import.meta.dirname, "../../docs/pictures/warmup.svg");

const width = 760;
const height = 420;
const plot = { left: 72, right: 736, top: 48, bottom: 360 };
const days = 22;
const lowest = 100;
const highest = 1_000_000;
const curves = [
  { ramp: "Standard", color: "#1f6feb" },
  { ramp: "Conservative", color: "#bf5700" },
] as const;

/** Day 1 at the left edge; recipients on a logarithmic scale, since stages multiply. */
const x = (day: number) => round(plot.left + ((day - 1) / (days - 1)) * (plot.right - plot.left));
const y = (recipients: number) =>
  round(
    plot.bottom -
      ((Math.log10(recipients) - Math.log10(lowest)) / (Math.log10(highest) - Math.log10(lowest))) *
        (plot.bottom - plot.top),
  );

export function warmupPicture(): string {
  const parts: string[] = [];
  for (const [recipients, label] of [
    [100, "100"],
    [1000, "1,000"],
    [10_000, "10,000"],
    [100_000, "100,000"],
    [1_000_000, "1,000,000"],
  ] as const) {
    parts.push(line(plot.left, y(recipients), plot.right, y(recipients), "#d0d7de"));
    parts.push(text(plot.left - 8, y(recipients) + 4, label, "end"));
  }
  for (const day of [1, 4, 7, 10, 13, 16, 19, 22]) {
    parts.push(line(x(day), plot.bottom, x(day), plot.bottom + 5, "#57606a"));
    parts.push(text(x(day), plot.bottom + 20, `day ${day}`, "middle"));
  }
  for (const [index, { ramp, color }] of curves.entries()) {
    const limits = rampOf({ ramp })?.dailyLimits ?? [];
    const shown = limits.slice(0, days);
    const steps = shown
      .map((limit, day) => `${day === 0 ? "M" : "L"}${x(day + 1)} ${y(limit)}H${x(Math.min(day + 2, days))}`)
      .join("");
    parts.push(`<path d="${steps}" fill="none" stroke="${color}" stroke-width="2.5"/>`);
    const last = shown.at(-1) ?? lowest;
    const end = Math.min(shown.length + 1, days);
    // Behind the last stage the address is warm: no limit.
    if (shown.length + 1 <= days)
      parts.push(`<circle cx="${x(end)}" cy="${y(last)}" r="4" fill="${color}"/>`);
    parts.push(
      `<rect x="${plot.left + 14}" y="${plot.top + 10 + index * 22}" width="14" height="4" fill="${color}"/>`,
    );
    parts.push(
      text(
        plot.left + 36,
        plot.top + 16 + index * 22,
        `${ramp}: ${limits.length} stages, ${(limits[0] ?? 0).toLocaleString("en")} to ${(limits.at(-1) ?? 0).toLocaleString("en")} a day, then warm`,
        "start",
      ),
    );
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" fill="#24292f">
<rect width="${width}" height="${height}" fill="#ffffff"/>
<text x="${plot.left}" y="28" font-size="16" font-weight="600">Recipients a day for one address, when every stage is used and healthy</text>
${parts.join("\n")}
<text x="${plot.left}" y="${height - 16}">A day that used under 90 % of its stage, or was not healthy, holds the stage.</text>
</svg>
`;
}

function line(x1: number, y1: number, x2: number, y2: number, color: string): string {
  return `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${color}"/>`;
}

function text(atX: number, atY: number, content: string, anchor: "start" | "middle" | "end"): string {
  return `<text x="${atX}" y="${atY}" text-anchor="${anchor}">${content}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

if (process.argv[1] === import.meta.filename) writeFileSync(pictureFile, warmupPicture());
