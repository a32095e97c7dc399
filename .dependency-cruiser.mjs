/**
 * The arrows of the house: which folder may reach which. docs/ARCHITECTURE.md tells the same in prose;
 * test/architecture checks that the tool really saw the modules and finds a planted violation.
 */
const tests = "\\.test\\.ts$";

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    {
      name: "no-cycles",
      comment: "A cycle means two files are one thought: merge them, or name the third they both need.",
      severity: "error",
      from: {},
      to: { circular: true },
    },
    {
      name: "production-never-imports-tests",
      comment: "What only tests need must not ship.",
      severity: "error",
      from: { path: "^(crds|relay|operator)/", pathNot: tests },
      to: { path: ["^test/", tests] },
    },
    {
      name: "crds-stands-alone",
      comment: "The API is described by zod alone; everyone else reads it.",
      severity: "error",
      from: { path: "^crds/", pathNot: tests },
      to: { path: "^(relay|operator)/" },
    },
    {
      name: "relay-knows-no-kubernetes",
      comment:
        "A relay runs alone on a laptop: it imports neither the operator, nor the API, nor a Kubernetes client.",
      severity: "error",
      from: { path: "^relay/", pathNot: tests },
      to: { path: ["^(operator|crds)/", "@kubernetes"] },
    },
    {
      name: "operator-knows-only-the-contract",
      comment: "The operator and the relay meet in relay/contract; relay/kit is the process kit of both.",
      severity: "error",
      from: { path: "^operator/", pathNot: tests },
      to: { path: "^relay/", pathNot: "^relay/(contract|kit)/" },
    },
    {
      name: "contract-holds-no-behaviour",
      comment: "What passes between the programs depends on zod only.",
      severity: "error",
      from: { path: "^relay/contract/", pathNot: tests },
      to: { pathNot: ["^relay/contract/", "node_modules/zod"] },
    },
    {
      name: "relay-policy-is-pure",
      comment: "Decisions take time, chance and facts as arguments: no node:*, no packages, no effects.",
      severity: "error",
      from: { path: "^relay/policy/", pathNot: tests },
      to: {
        pathNot: ["^relay/policy/", "^relay/message\\.ts$", "^relay/contract/", "^relay/kit/backoff\\.ts$"],
      },
    },
    {
      name: "operator-core-is-pure",
      comment:
        "World in, plan and status out. Hashes, key arithmetic and address families of Node are pure functions; nothing else of it is.",
      severity: "error",
      from: { path: "^operator/(plan|warmup|status)/", pathNot: tests },
      to: {
        pathNot: [
          "^operator/(plan|warmup|status)/",
          "^operator/world\\.ts$",
          "^operator/adapters/kubeClient\\.ts$",
          "^operator/reconcile/result\\.ts$",
          "^crds/",
          "^relay/contract/",
          "^(node:)?(crypto|net)$",
          "node_modules/ipaddr\\.js",
        ],
      },
    },
    {
      name: "reconcile-uses-ports",
      comment: "Reconcilers see adapters by their port types only; start.ts and main.ts wire the real ones.",
      severity: "error",
      from: { path: "^operator/reconcile/", pathNot: tests },
      to: {
        path: "^operator/(adapters|local)/",
        pathNot: "^operator/adapters/kubeClient\\.ts$",
        dependencyTypesNot: ["type-only"],
      },
    },
    {
      name: "only-adapters-touch-kubernetes",
      comment: "@kubernetes/client-node has one importer.",
      severity: "error",
      from: { pathNot: "^operator/adapters/" },
      to: { path: "@kubernetes/client-node" },
    },
    {
      name: "only-smtp-touches-mail-libraries",
      comment:
        "smtp-server and nodemailer are wrapped once, in relay/smtp. The quickstart plays a user with them.",
      severity: "error",
      from: { path: "^(relay|operator)/", pathNot: ["^relay/smtp/", "^operator/local/quickstart/", tests] },
      to: { path: "node_modules/(smtp-server|nodemailer)/" },
    },
    {
      name: "image-packs-it-all-and-imports-none",
      comment: "The image's maker reads the product as files: what it would import, it could not leave out.",
      severity: "error",
      from: { path: "^image/", pathNot: ["^image/commands/", tests] },
      to: { path: "^(crds|operator|relay|charts|test)/" },
    },
    {
      name: "nobody-imports-the-image",
      comment: "It is made of the product; the product does not know of it.",
      severity: "error",
      from: { path: "^(crds|operator|relay)/", pathNot: tests },
      to: { path: "^image/" },
    },
    {
      name: "no-unresolvable",
      comment: "An import nobody can resolve is a typo or a missing package.",
      severity: "error",
      from: {},
      to: { couldNotResolve: true },
    },
  ],
  options: {
    parser: "swc",
    tsPreCompilationDeps: true,
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^(crds/generated|node_modules)/" },
    enhancedResolveOptions: {
      extensions: [".ts", ".mjs", ".js"],
      exportsFields: ["exports"],
      conditionNames: ["import", "node", "default"],
    },
    moduleSystems: ["es6"],
  },
};
