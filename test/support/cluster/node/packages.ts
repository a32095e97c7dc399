/** What a node takes from Debian: the container runtime and the tools that it, kubelet and kube-proxy call. */
import type { Peer } from "../../peers/debian.ts";

export const nodePackages: readonly Peer[] = [
  { program: "containerd", package: "containerd", purpose: "container runtime, with ctr and its shim" },
  { program: "runc", package: "runc", purpose: "starts the containers" },
  {
    program: "../lib/cni/bridge",
    package: "containernetworking-plugins",
    purpose: "the pods' network",
  },
  { program: "ip", package: "iproute2", purpose: "bridge and network namespaces" },
  { program: "iptables", package: "iptables", purpose: "kubelet looks for it" },
  { program: "nft", package: "nftables", purpose: "kube-proxy's rules" },
  { program: "conntrack", package: "conntrack", purpose: "kube-proxy forgets ended UDP flows with it" },
  { program: "socat", package: "socat", purpose: "kubectl port-forward" },
  { program: "ethtool", package: "ethtool", purpose: "kubelet looks for it" },
];

/** Where Debian puts the CNI plug-ins. */
export const CNI_PLUGINS = "/usr/lib/cni";
