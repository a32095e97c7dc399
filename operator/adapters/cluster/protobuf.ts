/**
 * Reads lists of metadata as the API server sends them in protobuf, as far as they say which objects there are, at
 * which version. Everything else is stepped over unread, above all managedFields, which are most of
 * an object's metadata. Why not JSON: ten thousand objects are parsed into a hundred times as many values, which
 * are thrown away at once.
 *
 * Field numbers are those of generated.proto in k8s.io/apimachinery (pkg/runtime, pkg/apis/meta/v1), which are
 * part of the API and never change; a test reads bytes of a real API server.
 */
import type { ObjectVersion, VersionList } from "../kubeClient.ts";

export const PROTOBUF = "application/vnd.kubernetes.protobuf";

/** "k8s" and a zero byte stand before every message. */
const MAGIC = [0x6b, 0x38, 0x73, 0x00] as const;

const unknown = { typeMeta: 1, raw: 2, contentEncoding: 3 } as const;
const typeMeta = { kind: 2 } as const;
const metadataList = { metadata: 1, items: 2 } as const;
const listMeta = { resourceVersion: 2, continue: 3 } as const;
const partialObject = { metadata: 1 } as const;
const objectMeta = { name: 1, namespace: 3, uid: 5, resourceVersion: 6 } as const;

/** A PartialObjectMetadataList. Throws when the bytes are something else. */
export function readVersions(bytes: Uint8Array): Omit<VersionList, "bytes"> {
  const { kind, raw } = open(bytes);
  if (kind !== "PartialObjectMetadataList") throw new Error(`it is a ${JSON.stringify(kind)}`);
  const items: ObjectVersion[] = [];
  let resourceVersion = "";
  let continueToken = "";
  for (const field of fields(raw)) {
    if (field.number === metadataList.items) items.push(readItem(field.bytes));
    if (field.number !== metadataList.metadata) continue;
    for (const { number, bytes: value } of fields(field.bytes)) {
      if (number === listMeta.resourceVersion) resourceVersion = text(value);
      if (number === listMeta.continue) continueToken = text(value);
    }
  }
  if (resourceVersion === "") throw new Error("the list has no resourceVersion");
  return { items, resourceVersion, ...(continueToken === "" ? {} : { continueToken }) };
}

function readItem(item: Uint8Array): ObjectVersion {
  let [namespace, name, uid, resourceVersion] = ["", "", "", ""];
  for (const part of fields(item)) {
    if (part.number !== partialObject.metadata) continue;
    for (const { number, bytes } of fields(part.bytes)) {
      if (number === objectMeta.name) name = text(bytes);
      else if (number === objectMeta.namespace) namespace = text(bytes);
      else if (number === objectMeta.uid) uid = text(bytes);
      else if (number === objectMeta.resourceVersion) resourceVersion = text(bytes);
    }
  }
  if (name === "" || resourceVersion === "") throw new Error("an item has no name or no resourceVersion");
  return { namespace, name, uid, resourceVersion };
}

/** The envelope (runtime.Unknown): what it holds, and its bytes. */
function open(bytes: Uint8Array): { kind: string; raw: Uint8Array } {
  if (MAGIC.some((byte, index) => bytes[index] !== byte)) {
    throw new Error("it does not begin as Kubernetes' protobuf does");
  }
  let kind = "";
  let raw = new Uint8Array(0) as Uint8Array;
  for (const field of fields(bytes.subarray(MAGIC.length))) {
    if (field.number === unknown.raw) raw = field.bytes;
    if (field.number === unknown.contentEncoding && field.bytes.length > 0) {
      throw new Error(`it is encoded as ${JSON.stringify(text(field.bytes))}`);
    }
    if (field.number !== unknown.typeMeta) continue;
    for (const { number, bytes: value } of fields(field.bytes))
      if (number === typeMeta.kind) kind = text(value);
  }
  return { kind, raw };
}

interface Field {
  readonly number: number;
  readonly bytes: Uint8Array;
}

/** protobuf.dev, "Encoding": the low three bits of a tag. */
const wire = { varint: 0, fixed64: 1, length: 2, fixed32: 5 } as const;

/** The fields of a message that have a length, in order, nothing within them read. Throws at bytes that are no message. */
function* fields(message: Uint8Array): Generator<Field> {
  const at: Cursor = { offset: 0 };
  while (at.offset < message.length) {
    const tag = varint(message, at);
    const number = Math.floor(tag / 8);
    switch (tag % 8) {
      case wire.varint:
        varint(message, at);
        break;
      case wire.length: {
        const length = varint(message, at);
        const from = at.offset;
        step(message, at, length);
        yield { number, bytes: message.subarray(from, at.offset) };
        break;
      }
      case wire.fixed64:
        step(message, at, 8);
        break;
      case wire.fixed32:
        step(message, at, 4);
        break;
      default:
        throw new Error(`field ${number} is of wire type ${tag % 8}`);
    }
  }
}

interface Cursor {
  offset: number;
}

function step(message: Uint8Array, at: Cursor, bytes: number): void {
  at.offset += bytes;
  if (at.offset > message.length) throw new Error("a message ends within a field");
}

/** Exact up to 2^53, which lengths and tags are below. */
function varint(message: Uint8Array, at: Cursor): number {
  let value = 0;
  for (let scale = 1; scale < 2 ** 63; scale *= 128) {
    const byte = message[at.offset];
    if (byte === undefined) throw new Error("a message ends within a number");
    at.offset += 1;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return value;
  }
  // Negative numbers take ten bytes.
  at.offset += 1;
  return value;
}

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
}
