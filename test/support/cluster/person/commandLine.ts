/** What was typed after `npm run cluster --`, and which cluster is meant → what to do, or what to say. Pure. */
import { parseArgs } from "node:util";

export interface ImageReference {
  readonly repository: string;
  readonly tag?: string;
  readonly digest?: string;
}

export interface ExistingOrder {
  /** null where `--values` say it. */
  readonly image: ImageReference | null;
  /** Files for Helm. */
  readonly values: readonly string[];
  /** null: the current one of the kubeconfig. */
  readonly context: string | null;
  readonly yes: boolean;
}

export type ClusterCommand =
  | { readonly kind: "throwAway"; readonly action: "up" | "down" | "supervise" }
  | { readonly kind: "existing"; readonly action: "up" | "down"; readonly order: ExistingOrder }
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "refused"; readonly text: string };

export interface Surroundings {
  /** The variable. */
  readonly kubeconfig: string | undefined;
  /** The file of the throw-away cluster, which its hints tell one to put into KUBECONFIG. */
  readonly ours: string;
}

const helpText = `npm run cluster: the operator and examples/quickstart in a cluster, to try things on

  npm run cluster                    a throw-away Kubernetes of one node on this machine (Linux, root)
  npm run cluster -- down            takes it away, also after a crash

With KUBECONFIG set, in the cluster it leads to:

  KUBECONFIG=FILE npm run cluster -- --image REPOSITORY:TAG
  KUBECONFIG=FILE npm run cluster -- down

  --image REPOSITORY:TAG             the image there, pushed or loaded before (npm run image); @sha256:… too
  --values FILE                      values for the chart (repeatable); they may name the image
  --context NAME                     default: the kubeconfig's current one
  --yes                              do not ask; needed where nobody can answer
  --help                             this
`;

const seeHelp = `Try "npm run cluster -- --help".`;

export function readClusterCommand(words: readonly string[], around: Surroundings): ClusterCommand {
  let values, positionals;
  try {
    ({ values, positionals } = parseArgs({
      args: [...words],
      allowPositionals: true,
      options: {
        image: { type: "string" },
        values: { type: "string", multiple: true, default: [] },
        context: { type: "string" },
        yes: { type: "boolean", short: "y", default: false },
        help: { type: "boolean", short: "h", default: false },
      },
    }));
  } catch (error) {
    const reason = error instanceof Error ? error.message.split(/\. |\n/, 1)[0] : String(error);
    return refused(`${reason}.`);
  }
  if (values.help) return { kind: "help", text: helpText };
  const [action = "up", ...more] = positionals;
  if (more.length > 0 || (action !== "up" && action !== "down" && action !== "supervise")) {
    return refused(`There is "down", or nothing; not "${positionals.join(" ")}".`);
  }
  const existing =
    around.kubeconfig !== undefined && around.kubeconfig !== "" && around.kubeconfig !== around.ours;
  if (action === "supervise" || !existing) {
    if (words.some((word) => word.startsWith("-"))) {
      return refused(
        "Options are for an existing cluster, which KUBECONFIG leads to; it is not set, or to our own.",
      );
    }
    return { kind: "throwAway", action };
  }
  const image = values.image === undefined ? null : imageOf(values.image);
  if (typeof image === "string") return refused(image);
  if (action === "up" && image === null && values.values.length === 0) {
    return refused(
      "Cannot install without an image: KUBECONFIG leads to an existing cluster, which has to get one from somewhere. " +
        "Make it (npm run image), bring it where the cluster finds it, and name it with --image REPOSITORY:TAG. " +
        "For a throw-away cluster on this machine, unset KUBECONFIG.",
    );
  }
  const context = values.context ?? null;
  return {
    kind: "existing",
    action,
    order: { image, values: values.values, context, yes: values.yes },
  };
}

/** The reason as text when it is none. */
function imageOf(text: string): ImageReference | string {
  const [repository = "", digest] = text.split("@");
  if (digest !== undefined && /^sha256:[0-9a-f]{64}$/.test(digest) && repository !== "") {
    return { repository: repository.replace(/:[\w.-]+$/, ""), digest };
  }
  const named = /^([^\s:@]+(?::\d+\/[^\s:@]+)?):(\w[\w.-]{0,127})$/.exec(text);
  const [, name, tag] = named ?? [];
  if (name === undefined || tag === undefined) {
    return `--image is REPOSITORY:TAG or REPOSITORY@sha256:…, not "${text}".`;
  }
  return { repository: name, tag };
}

function refused(reason: string): ClusterCommand {
  return { kind: "refused", text: `${reason} ${seeHelp}` };
}
