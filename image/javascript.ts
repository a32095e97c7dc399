/**
 * Our TypeScript as the image has it: JavaScript, so that no process there carries the 25 MiB of a type stripper
 * or spends a quarter of a second with it at each start. Types are blanked, not cut out, by the very stripper that Node has
 * inside: lines and columns of a stack trace are those of the source.
 */
import { transformSync } from "amaro";

/** Imports of our own files name them by extension; this one is as long as the other. */
const ownImport = /(\b(?:from|import)\s*\(?\s*"\.{1,2}\/[^"]+)\.ts"/g;

/** Path of the JavaScript that a source becomes. */
export function javascriptPath(path: string): string {
  return path.replace(/\.ts$/, ".js");
}

/** Throws where a source is not plain JavaScript once its types are gone (an enum, a parameter property). */
export function toJavascript(source: string, path: string): string {
  let code: string;
  try {
    code = transformSync(source, { mode: "strip-only" }).code;
  } catch (cause) {
    // It throws objects that are no Error.
    const { message = String(cause), startLine = 0 } = cause as { message?: string; startLine?: number };
    throw new Error(`Cannot make JavaScript of ${path}:${startLine}: ${message}`, { cause });
  }
  return code.replace(ownImport, '$1.js"');
}
