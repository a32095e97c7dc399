/**
 * Which files of each part go into the image. Pure. What is left out cannot be run there: types, maps, documents,
 * tests, what is built for another runtime. Licences stay: they are the condition of passing the rest on.
 */

/** `path` within an npm package. */
export function keptOfPackage(path: string): boolean {
  if (isLicense(path)) return true;
  // Folders of tests at a package's top; deeper ones may be modules that are called so.
  if (/^(tests?|__tests__|spec|bench(marks?)?|examples?|coverage)\//i.test(path)) return false;
  return /\.(js|cjs|mjs|json|node|wasm)$/.test(path) && !/(^|\/)(tsconfig[^/]*|\.[^/]+)\.json$/.test(path);
}

/** A package of which only this is left holds no code: types. */
export function isCode(path: string): boolean {
  return /\.(js|cjs|mjs|node|wasm)$/.test(path);
}

export function isLicense(path: string): boolean {
  return (
    /^(un)?licen[cs]e|^copying|^notice/i.test(path.slice(path.lastIndexOf("/") + 1)) &&
    !/\.(c|m)?[jt]s$/.test(path)
  );
}

/** `path` within a Debian package, without the leading "./". */
export function keptOfDebian(path: string): boolean {
  if (/^usr\/share\/doc\/[^/]+(\/copyright)?$/.test(path)) return true;
  // Libraries, but not converters of character sets (iconv; Node has its own) nor tools to look into programs.
  return (
    /^(usr\/)?lib(64)?\/([a-z0-9_]+-linux-gnu\/)?[^/]+\.so(\.[0-9.]+)?$/.test(path) &&
    !/\/(libmemusage|libpcprofile|libc_malloc_debug|libthread_db|libnss_(compat|hesiod)|libnsl|libBrokenLocale)\./.test(
      path,
    )
  );
}

/** Makes files of the repository. */
const notAtWork =
  /^(crds\/(generated\/|(generate|generatedFiles|generatedNotice|referencePage)\.ts$)|relay\/metricsPage\.ts$|operator\/local\/quickstart\/)/;

/** `path` within the repository. What only developers run stays at home. */
export function keptOfTree(path: string): boolean {
  if (path === "image/commands/smtp-relay.mjs" || path === "image/commands/smtp-relay-operator.mjs")
    return true;
  if (!/^(crds|operator|relay)\//.test(path)) return false;
  if (path.endsWith(".test.ts")) return false;
  if (notAtWork.test(path)) return false;
  return /\.(ts|json)$/.test(path);
}
