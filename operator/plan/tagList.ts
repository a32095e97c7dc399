/** Tag=value lists, the form of DKIM and DMARC records (RFC 6376 §3.2). */

/** Tags in lower case of names as written; null when the text is no tag list or repeats a tag. */
export function parseTagList(text: string): ReadonlyMap<string, string> | null {
  const tags = new Map<string, string>();
  const specs = text.split(";");
  // The last semicolon may end the list.
  if (specs.at(-1)?.trim() === "") specs.pop();
  for (const spec of specs) {
    const match = /^\s*([A-Za-z][A-Za-z0-9_]*)\s*=(.*)$/s.exec(spec);
    const name = match?.[1];
    if (name === undefined || tags.has(name)) return null;
    tags.set(name, match?.[2]?.trim() ?? "");
  }
  return tags;
}
