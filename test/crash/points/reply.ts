/** Points around the 250, at the socket: no code of the relay lies between them and the kernel. */
import { Socket } from "node:net";

import { hit } from "./hit.ts";

const write = Reflect.get(Socket.prototype, "write");
Socket.prototype.write = function pointedWrite(this: Socket, ...args: Parameters<Socket["write"]>) {
  const isAcceptance = textOf(args[0]).includes("queued as ");
  if (isAcceptance) hit("reply.before");
  const result = Reflect.apply(write, this, args);
  if (isAcceptance) hit("reply.after");
  return result;
} as Socket["write"];

function textOf(chunk: string | Uint8Array): string | Buffer {
  return typeof chunk === "string" ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
}
