import * as fc from "fast-check";
import { expect, test } from "vitest";

import { PowerLossFiles } from "../../../test/support/powerLossFiles.ts";
import { queuedMessage, recipient } from "../../../test/support/queuedMessage.ts";
import { decodeMetadata, encodeMetadata, type MetadataRecord, type RawMetadata } from "./metadata.ts";
import { MetadataLog } from "./metadataLog.ts";
import { RECORD_HEADER_BYTES } from "./record.ts";
import { SpoolIndex } from "./spoolIndex.ts";

const FOLDER = "/spool";
const FIRST_LOG = `${FOLDER}/metadata-0000000001.log`;
const put = (n: number): MetadataRecord => ({
  kind: "message",
  message: queuedMessage({ id: `01J${String(n).padStart(23, "0")}`, sizeBytes: n }),
  content: { segment: 1, offset: n },
});

/** Nobody wants to know where a checkpoint puts what it writes. */
const nobody = { written: () => {}, named: () => {} };

async function write(log: MetadataLog, ...batches: MetadataRecord[][]): Promise<void> {
  for (const batch of batches) (await log.append(batch.map(encodeMetadata))).accept();
}

/** What stands behind each batch: that it is whole. */
const MARK_BYTES = RECORD_HEADER_BYTES + '{"through":3,"segment":0,"offset":0}'.length;

async function newLog(files: PowerLossFiles): Promise<MetadataLog> {
  const log = new MetadataLog(files, FOLDER);
  await log.recover(() => {});
  await log.startLog();
  return log;
}

/** Sizes of the messages found (their number here), and the bytes cut and stepped over. */
async function read(files: PowerLossFiles) {
  const index = new SpoolIndex();
  const log = new MetadataLog(files, FOLDER);
  const { tornBytes, damagedBytes } = await log.recover((raw) => {
    const record = decodeMetadata(raw);
    if (record !== null) index.apply(record);
  });
  return { found: index.messages().map((message) => message.sizeBytes), tornBytes, damagedBytes, log };
}

test("a last batch that is cut at any byte is gone, the batches before it are not, and the cut is counted", async () => {
  const files = new PowerLossFiles();
  const log = await newLog(files);
  await write(log, [put(1)], [put(2)]);
  const start = files.bytesOf(FIRST_LOG).length;
  await write(log, [put(3)]);
  const whole = files.bytesOf(FIRST_LOG).subarray(0, -MARK_BYTES);

  expect((await read(files)).found).toEqual([1, 2, 3]);
  const uncounted: number[] = [];
  for (let cut = start; cut < whole.length; cut++) {
    const torn = files.copy();
    torn.setBytes(FIRST_LOG, whole.subarray(0, cut));
    const { found, tornBytes, damagedBytes, log } = await read(torn);
    expect({ found, damagedBytes }).toEqual({ found: [1, 2], damagedBytes: 0 });
    expect(tornBytes).toBeLessThanOrEqual(cut - start);
    if (tornBytes === 0) uncounted.push(cut - start);
    // And the next life does not see it again.
    await log.startLog();
    await write(log, [put(4)]);
    expect(await read(torn)).toMatchObject({ found: [1, 2, 4], tornBytes: 0, damagedBytes: 0 });
  }
  // Not counted: nothing at all, a whole batch mark, and the zeros with which a record's length begins.
  expect(uncounted).toEqual([0, 1, 2, 3, 24, 25, 26, 27]);
});

test("a last batch with any byte garbled loses that batch at most", async () => {
  const files = new PowerLossFiles();
  const log = await newLog(files);
  await write(log, [put(1)], [put(2)]);
  const start = files.bytesOf(FIRST_LOG).length;
  await write(log, [put(3)]);
  const whole = files.bytesOf(FIRST_LOG).subarray(0, -MARK_BYTES);

  for (let at = start; at < whole.length; at++) {
    const garbled = files.copy();
    const bytes = Buffer.from(whole);
    bytes[at] = (bytes[at] ?? 0) ^ 0x5a;
    garbled.setBytes(FIRST_LOG, bytes);
    const { found, tornBytes } = await read(garbled);
    expect(found).toEqual([1, 2]);
    expect(tornBytes).toBeGreaterThan(0);
  }
});

test("damage in the middle costs its batch, is told apart from a torn end, and what follows is found", async () => {
  const files = new PowerLossFiles();
  const log = await newLog(files);
  await write(log, [put(1)]);
  const start = files.bytesOf(FIRST_LOG).length;
  await write(log, [put(2)]);
  const end = files.bytesOf(FIRST_LOG).length;
  await write(log, [put(3)], [put(4)]);
  const bytes = Buffer.from(files.bytesOf(FIRST_LOG));
  bytes.fill(0xff, start + 40, end - 40);
  files.setBytes(FIRST_LOG, bytes);

  const { found, tornBytes, damagedBytes } = await read(files);
  expect(found).toEqual([1, 3, 4]);
  expect(tornBytes).toBe(0);
  expect(damagedBytes).toBeGreaterThan(0);
});

test("zeros behind the last record are a disk that was never written, not a torn record", async () => {
  const files = new PowerLossFiles();
  await write(await newLog(files), [put(1)]);
  files.setBytes(FIRST_LOG, Buffer.concat([files.bytesOf(FIRST_LOG), Buffer.alloc(4096)]));

  expect(await read(files)).toMatchObject({ found: [1], tornBytes: 0, damagedBytes: 0 });
});

test("a batch that was not accepted does not come back, even when the disk kept all of it", async () => {
  const files = new PowerLossFiles();
  const log = await newLog(files);
  await write(log, [put(1)]);
  await log.append([encodeMetadata(put(2))]);
  const kept = Buffer.from(files.bytesOf(FIRST_LOG));
  await log.startLog();
  await write(log, [put(3)]);
  files.setBytes(FIRST_LOG, kept);

  expect(await read(files)).toMatchObject({ found: [1, 3], tornBytes: 0, damagedBytes: 0 });
});

test("a checkpoint stands for the logs before it, which are deleted, whatever happens while it is written", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 60 }),
      fc.integer({ min: 0, max: 20 }),
      async (count, during) => {
        const files = new PowerLossFiles();
        const log = await newLog(files);
        const index = new SpoolIndex();
        const apply = async (batch: MetadataRecord[]) => {
          await write(log, batch);
          for (const record of batch) index.apply(record);
        };
        for (let n = 0; n < count; n++) await apply([put(n)]);
        await log.startLog();
        // While the state is written, a message comes, one goes, and use of an allowance grows.
        async function* state(): AsyncGenerator<RawMetadata[]> {
          for (const id of index.ids()) {
            const entry = index.get(id);
            if (entry !== undefined)
              yield [encodeMetadata({ kind: "message", message: entry.message, content: entry.content })];
          }
        }
        const checkpoint = log.checkpoint(state(), nobody);
        for (let n = 0; n < during; n++) {
          await apply([put(1000 + n), { kind: "usage", counter: "a", taken: n, at: 5 }]);
          const [oldest] = index.ids();
          if (oldest !== undefined) await apply([{ kind: "removed", id: oldest }]);
        }
        await checkpoint;

        expect(files.paths().toSorted()).toEqual([
          `${FOLDER}/checkpoint-0000000001.log`,
          `${FOLDER}/metadata-0000000002.log`,
        ]);
        const { found, damagedBytes } = await read(files);
        expect(damagedBytes).toBe(0);
        expect(found).toEqual(index.messages().map((message) => message.sizeBytes));
      },
    ),
    { numRuns: 30 },
  );
});

test("a damaged checkpoint gives what can be read of it, and says so", async () => {
  const files = new PowerLossFiles();
  const log = await newLog(files);
  await write(log, [put(1)], [put(2)]);
  await log.startLog();
  const state = async function* () {
    yield [put(1), put(2)].map(encodeMetadata);
  };
  await log.checkpoint(state(), nobody);
  const path = `${FOLDER}/checkpoint-0000000001.log`;
  files.setBytes(path, files.bytesOf(path).subarray(0, -10));

  const { found, damagedBytes } = await read(files);
  expect(found).toEqual([1, 2]);
  expect(damagedBytes).toBeGreaterThan(0);
});

test("a record longer than the reading window is read whole", async () => {
  const files = new PowerLossFiles();
  const log = await newLog(files);
  const recipients = Array.from({ length: 10_000 }, (_, n) =>
    recipient({ address: `${"r".repeat(150)}${n}@inbox.test` }),
  );
  const message = queuedMessage({ id: "01J00000000000000000000009", sizeBytes: 9, recipients });
  await write(log, [put(1)], [{ kind: "message", message, content: null }], [put(2)]);

  expect((await read(files)).found).toEqual([1, 2, 9]);
});

test("before the first record it is told how many messages there are: those of a checkpoint, and about those of logs", async () => {
  const files = new PowerLossFiles();
  const log = await newLog(files);
  const numbers = Array.from({ length: 100 }, (_, n) => n);
  await write(log, numbers.map(put));
  await log.startLog();
  const state = async function* () {
    yield numbers.map(put).map(encodeMetadata);
  };
  await log.checkpoint(state(), nobody);
  const told = async () => {
    const heard: (number | "record")[] = [];
    await new MetadataLog(files, FOLDER).recover(
      () => heard.push("record"),
      (messages) => heard.push(messages),
    );
    expect(heard.indexOf("record")).toBe(1);
    expect(heard.filter((each) => each !== "record")).toHaveLength(1);
    return Number(heard[0]);
  };
  expect(await told()).toBe(100);

  await write(
    log,
    numbers.map((n) => put(100 + n)),
  );
  await log.startLog();
  await write(
    log,
    numbers.map((n) => put(200 + n)),
  );
  expect(await told()).toBeGreaterThan(200);
  expect(await told()).toBeLessThan(400);
});
