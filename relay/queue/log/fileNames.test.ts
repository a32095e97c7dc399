/** Names are found again by whoever reads a folder: a start, and a person's check. */
import { expect, test } from "vitest";

import { ownerOf, ownFileName, segmentName, segmentOf } from "./contentFiles.ts";
import {
  checkpointNumber,
  isCheckpoint,
  logFileName,
  logNumber,
  PENDING_FILE,
  sequenceOf,
  sequenceOfLog,
  standingLogs,
} from "./logFiles.ts";

const id = "01ARZ3NDEKTSV4RRFFQ69G5FAV";

test("a file of the log has the name its number says", () => {
  expect(logFileName(logNumber(8))).toBe("metadata-0000000008.log");
  expect(logFileName(checkpointNumber(7))).toBe("checkpoint-0000000007.log");
  expect([logNumber(8), checkpointNumber(7)].map(sequenceOf)).toEqual([8, 7]);
  expect([logNumber(8), checkpointNumber(7), PENDING_FILE].map(isCheckpoint)).toEqual([false, true, false]);
});

test("the last checkpoint stands, with the logs after it in order", () => {
  const names = [
    ...[12, 7, 8, 10, 9].map((sequence) => logFileName(logNumber(sequence))),
    ...[6, 8, 5].map((sequence) => logFileName(checkpointNumber(sequence))),
    ...["checkpoint-0000000009.log.tmp", "metadata-0000000011.log.damaged", "spool.json"],
    ...[segmentName(13), ownFileName(id)],
  ];

  expect(standingLogs(names)).toEqual({ checkpoint: 8, logs: [9, 10, 12] });
  expect(standingLogs(["metadata-0000000001.log"])).toEqual({ checkpoint: 0, logs: [1] });
  expect(standingLogs([])).toEqual({ checkpoint: 0, logs: [] });
});

test.each([
  ["metadata-0000000008.log", 8],
  ["checkpoint-0000000007.log", 7],
  ["checkpoint-0000000007.log.damaged", 7],
  ["checkpoint-0000000007.log.tmp", null],
  ["content-0000000007.seg", null],
])("%s may hold records of log %j", (name, sequence) => {
  expect(sequenceOfLog(name)).toBe(sequence);
});

test("files of content are told from others", () => {
  expect(segmentOf(segmentName(3))).toBe(3);
  expect(ownerOf(ownFileName(id))).toBe(id);
  for (const name of ["content-3.seg", "content-0000000003.seg.tmp", "spool.json", `${id}.aside`]) {
    expect([segmentOf(name), ownerOf(name)]).toEqual([null, null]);
  }
});
