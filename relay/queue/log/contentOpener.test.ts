import { expect, test } from "vitest";

import { nthId } from "../../../test/contract/spool/harness.ts";
import { PowerLossFiles } from "../../../test/support/powerLossFiles.ts";
import { queuedMessage } from "../../../test/support/queuedMessage.ts";
import { ContentOpener } from "./contentOpener.ts";
import { ContentStore } from "./contentStore.ts";
import { MessageColumns } from "./messageColumns.ts";
import { encodeMetadata, type MetadataRecord } from "./metadata.ts";
import { SharedFiles } from "./sharedFiles.ts";

const FOLDER = "/spool";
const segment = (number: number) => `${FOLDER}/content-${String(number).padStart(10, "0")}.seg`;

/** An index with one message in segment 1, and the way to its content; `beforeOpen` happens while it is looked up. */
function opener(files: PowerLossFiles, beforeOpen: (path: string, index: MessageColumns) => void) {
  const index = new MessageColumns();
  const message = queuedMessage({ id: nthId(1), sizeBytes: 7 });
  tell(index, { kind: "message", message, content: { segment: 1, offset: 32 } });
  const reading = new SharedFiles({
    open: (path) => {
      beforeOpen(path, index);
      return files.open(path);
    },
  });
  const contents = new ContentStore({
    ...{ files, directory: FOLDER, segmentBytes: 1, isNeededByLog: () => false },
  });
  return new ContentOpener({ index, contents, reading });
}

function tell(index: MessageColumns, record: MetadataRecord): void {
  index.apply(encodeMetadata(record), 2, 0);
}

test("content that compaction moved while it was looked up is found where it is now", async () => {
  const files = new PowerLossFiles();
  await (await files.create(segment(2))).close();
  const asked: string[] = [];
  const found = await opener(files, (path, index) => {
    asked.push(path);
    tell(index, { kind: "moved", id: nthId(1), content: { segment: 2, offset: 64 } });
  }).open(nthId(1));

  expect(asked).toEqual([segment(1), segment(2)]);
  expect(found).toMatchObject({ offset: 64, sizeBytes: 7 });
  await found.file.close();
});

test("content that is missing where it should be is an error that names the message, at once", async () => {
  const asked: string[] = [];
  const opening = opener(new PowerLossFiles(), (path) => asked.push(path)).open(nthId(1));

  await expect(opening).rejects.toThrow(
    `Cannot read message ${nthId(1)}: the folder or a file of it is missing`,
  );
  expect(asked).toEqual([segment(1)]);
});
