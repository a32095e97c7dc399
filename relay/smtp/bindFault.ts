/** Whether connections can be made from an address: asks the system by binding a socket to it. */
import { createSocket } from "node:dgram";
import { isIPv6 } from "node:net";

/** Why not, or null. Never rejects. Nothing is sent, and the port is given back at once. */
export function bindFault(address: string): Promise<string | null> {
  const socket = createSocket(isIPv6(address) ? "udp6" : "udp4");
  return new Promise((resolve) => {
    const end = (fault: string | null) => {
      socket.close();
      resolve(fault);
    };
    socket.once("error", (error: NodeJS.ErrnoException) =>
      end(unbound(address, error.code ?? error.message)),
    );
    socket.bind({ address, port: 0, exclusive: true }, () => end(null));
  });
}

export function unbound(address: string, code: string): string {
  return `no connection can be made from ${address}: ${code}`;
}
