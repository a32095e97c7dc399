/**
 * The programs of the throw-away cluster: which versions, and the two ways to get each of them, as data.
 * Kubernetes 1.36 is the newest that still works with containerd 1.6 and cgroup v1.
 */

export const KUBERNETES_VERSION = "v1.36.3";
const ETCD_VERSION = "v3.6.16";
const HELM_VERSION = "v4.3.1";
const KUBECONFORM_VERSION = "v0.8.0";

/** How a program is built from its Go module. */
export type GoRecipe =
  /** `go install PACKAGE@VERSION`: the module has no `replace` lines. */
  | { readonly kind: "install"; readonly package: string; readonly version: string }
  /** `go build PACKAGE` in a module of ours that requires `module`, since `go install` refuses its `replace` lines. */
  | {
      readonly kind: "build";
      readonly package: string;
      readonly module: string;
      readonly version: string;
      /** Version for modules that MODULE's go.mod replaces by folders of its own repository. */
      readonly stagingVersion?: string;
    };

/** An official release: the file, and the list or file that holds its SHA-256. */
export interface Release {
  readonly url: string;
  readonly checksumUrl: string;
  /** Path of the program in the archive; absent when the file is the program itself. */
  readonly member?: string;
}

export interface ProgramSource {
  /** Folder of the cache: name and version, so that a new version never meets an old file. */
  readonly folder: string;
  readonly recipe: GoRecipe;
  /** `architecture` in Go's words: amd64, arm64. */
  release(architecture: string): Release;
}

const kubernetesPrograms = [
  "kube-apiserver",
  "kubectl",
  "kube-controller-manager",
  "kube-scheduler",
  "kubelet",
  "kube-proxy",
] as const;

export type ClusterProgram = "etcd" | (typeof kubernetesPrograms)[number] | "helm" | "kubeconform";

function kubernetes(program: (typeof kubernetesPrograms)[number]): ProgramSource {
  return {
    folder: `kubernetes-${KUBERNETES_VERSION}`,
    recipe: {
      kind: "build",
      package: `k8s.io/kubernetes/cmd/${program}`,
      module: "k8s.io/kubernetes",
      version: KUBERNETES_VERSION,
      // The staging modules of Kubernetes 1.N are published as 0.N.
      stagingVersion: KUBERNETES_VERSION.replace("v1.", "v0."),
    },
    release(architecture) {
      const url = `https://dl.k8s.io/release/${KUBERNETES_VERSION}/bin/linux/${architecture}/${program}`;
      return { url, checksumUrl: `${url}.sha256` };
    },
  };
}

/** In the order in which a cold machine should get them: the API server's tests can start first. */
export const programSources: Readonly<Record<ClusterProgram, ProgramSource>> = {
  etcd: {
    folder: `etcd-${ETCD_VERSION}`,
    recipe: {
      kind: "build",
      package: "go.etcd.io/etcd/server/v3",
      module: "go.etcd.io/etcd/server/v3",
      version: ETCD_VERSION,
    },
    release(architecture) {
      const base = `https://github.com/etcd-io/etcd/releases/download/${ETCD_VERSION}`;
      const name = `etcd-${ETCD_VERSION}-linux-${architecture}`;
      return { url: `${base}/${name}.tar.gz`, checksumUrl: `${base}/SHA256SUMS`, member: `${name}/etcd` };
    },
  },
  "kube-apiserver": kubernetes("kube-apiserver"),
  kubectl: kubernetes("kubectl"),
  "kube-controller-manager": kubernetes("kube-controller-manager"),
  "kube-scheduler": kubernetes("kube-scheduler"),
  kubelet: kubernetes("kubelet"),
  "kube-proxy": kubernetes("kube-proxy"),
  helm: {
    folder: `helm-${HELM_VERSION}`,
    recipe: { kind: "install", package: "helm.sh/helm/v4/cmd/helm", version: HELM_VERSION },
    release(architecture) {
      const url = `https://get.helm.sh/helm-${HELM_VERSION}-linux-${architecture}.tar.gz`;
      return { url, checksumUrl: `${url}.sha256sum`, member: `linux-${architecture}/helm` };
    },
  },
  kubeconform: {
    folder: `kubeconform-${KUBECONFORM_VERSION}`,
    recipe: {
      kind: "install",
      package: "github.com/yannh/kubeconform/cmd/kubeconform",
      version: KUBECONFORM_VERSION,
    },
    release(architecture) {
      const base = `https://github.com/yannh/kubeconform/releases/download/${KUBECONFORM_VERSION}`;
      const name = `kubeconform-linux-${architecture}.tar.gz`;
      return { url: `${base}/${name}`, checksumUrl: `${base}/CHECKSUMS`, member: "kubeconform" };
    },
  },
};

export const clusterPrograms = Object.keys(programSources) as readonly ClusterProgram[];

/** What suites that need an API server and nothing else ask for. */
export const apiServerPrograms: readonly ClusterProgram[] = ["etcd", "kube-apiserver"];

export function isClusterProgram(name: string): name is ClusterProgram {
  return Object.hasOwn(programSources, name);
}
