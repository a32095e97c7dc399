/** Refuses to run tests on a Node that is not the project's: results would not be comparable. */
const major = Number(process.versions.node.split(".")[0]);
if (major < 24) {
  throw new Error(
    `Cannot run the tests: Node 24 or newer is needed, this is ${process.versions.node}. Use "npm test" or "npm run vitest -- …".`,
  );
}
