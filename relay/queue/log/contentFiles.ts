/**
 * How the files are called that contents lie in: segments, and files of their own for large ones (contentStore.ts
 * says what is in them).
 *
 *   content-0000000003.seg
 *   01J….msg
 */
import type { MessageId } from "../../message.ts";

export function segmentName(segment: number): string {
  return `content-${String(segment).padStart(10, "0")}.seg`;
}

/** Null: it is no segment. */
export function segmentOf(name: string): number | null {
  const match = /^content-(\d{10})\.seg$/.exec(name);
  return match === null ? null : Number(match[1]);
}

export function ownFileName(id: MessageId): string {
  return `${id}.msg`;
}

/** Whose content it is; null: it is no such file. */
export function ownerOf(name: string): MessageId | null {
  return /^([0-9A-Z]{26})\.msg$/.exec(name)?.[1] ?? null;
}
