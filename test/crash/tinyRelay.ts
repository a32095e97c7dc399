/**
 * The control of the crash suite: a relay so small that its mistakes are plain. Queues each message as a file,
 * sends it on a little later, deletes the file. In which manner it is careless is said on its command line, and
 * the suite must notice:
 *
 *   sound              file synced, named, folder synced, then 250
 *   answers-first      250, and the sync a little later
 *   forgets-folder     file synced under its name; the name never
 *   keeps-in-memory    no file at all
 *   forgets-delivery   the file is deleted long after the delivery: it goes out again after every kill
 *   spoils-content     a byte of every third body, the first of each life among them
 *
 *   node tinyRelay.ts MANNER PORT SINK_PORT FOLDER
 */
import { writeSync } from "node:fs";
import { open, readdir, readFile, rename, rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";

export const manners = [
  "sound",
  "answers-first",
  "forgets-folder",
  "keeps-in-memory",
  "forgets-delivery",
  "spoils-content",
] as const;
export type Manner = (typeof manners)[number];

interface Mail {
  readonly from: string;
  readonly to: readonly string[];
  readonly content: string;
}

/** Between 250 and the way out: time for a kill. */
const SEND_AFTER_MS = 80;
const LATE_SYNC_MS = 60;
const LATE_DELETE_MS = 5000;

if (import.meta.main) await main();

async function main(): Promise<void> {
  const [manner = "", port = "", sinkPort = "", folder = ""] = process.argv.slice(2);
  let next = Date.now();
  let deliveries = 0;
  const later = (ms: number, work: () => Promise<void>) => void setTimeout(() => void work(), ms);

  const send = async (mail: Mail, path: string | null) => {
    await deliver(mail, Number(sinkPort), manner === "spoils-content" && deliveries++ % 3 === 0);
    const forget = async () => {
      if (path !== null) {
        await rm(path, { force: true });
        await syncFolder(folder);
      }
      writeSync(3, `recorded ${mail.to.map(keyOf).join(" ")}\n`);
    };
    if (manner === "forgets-delivery") {
      writeSync(3, `recorded ${mail.to.map(keyOf).join(" ")}\n`);
      later(LATE_DELETE_MS, forget);
    } else await forget();
  };

  const accept = async (mail: Mail) => {
    if (manner === "keeps-in-memory") return later(SEND_AFTER_MS, () => send(mail, null));
    const path = join(folder, `${next++}.mail`);
    const isNamedLate = manner !== "forgets-folder";
    const draft = isNamedLate ? `${path}.tmp` : path;
    const file = await open(draft, "wx");
    await file.write(JSON.stringify(mail));
    const sync = async () => {
      await file.datasync();
      await file.close();
      if (!isNamedLate) return;
      await rename(draft, path);
      await syncFolder(folder);
    };
    if (manner === "answers-first") later(LATE_SYNC_MS, sync);
    else await sync();
    later(SEND_AFTER_MS, () => send(mail, path));
  };

  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    if (!name.endsWith(".mail")) continue;
    later(SEND_AFTER_MS, async () => {
      const mail = await parse(path);
      if (mail !== null) await send(mail, path);
    });
  }
  createServer((socket) => void converse(socket, accept)).listen(Number(port), "127.0.0.1");
}

/** Null: half written when the process was killed, so nobody was told 250 for it. */
async function parse(path: string): Promise<Mail | null> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Mail;
  } catch (error) {
    if (error instanceof SyntaxError) return null;
    throw error;
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  await handle.sync();
  await handle.close();
}

function keyOf(address: string): string {
  return address.slice(0, address.indexOf("@"));
}

function addressIn(line: string): string {
  return /<([^>]*)>/.exec(line)?.[1] ?? "";
}

/** The server's half of SMTP, as much as a well-behaved client needs. */
async function converse(socket: Socket, accept: (mail: Mail) => Promise<void>): Promise<void> {
  socket.on("error", () => {});
  const say = (line: string) => void socket.write(`${line}\r\n`);
  say("220 tiny");
  let input = "";
  let from = "";
  let to: string[] = [];
  let inContent = false;
  for await (const chunk of socket) {
    input += (chunk as Buffer).toString("latin1");
    for (;;) {
      const mark = inContent ? "\r\n.\r\n" : "\r\n";
      const end = input.indexOf(mark);
      if (end === -1) break;
      const text = input.slice(0, end);
      input = input.slice(end + mark.length);
      if (inContent) {
        inContent = false;
        try {
          await accept({ from, to, content: `${text}\r\n.\r\n` });
          say("250 Ok");
        } catch {
          say("451 Cannot keep it");
        }
        to = [];
      } else if (text.startsWith("DATA")) {
        inContent = true;
        say("354 Go on");
      } else {
        if (text.startsWith("MAIL")) from = addressIn(text);
        if (text.startsWith("RCPT")) to.push(addressIn(text));
        say("250 Ok");
      }
    }
  }
}

/** The client's half. The content is on the wire as it came from there. */
async function deliver(mail: Mail, port: number, isSpoilt: boolean): Promise<void> {
  const socket = connect({ port, host: "127.0.0.1" });
  const content = isSpoilt ? mail.content.replace("xxxx", "xyxx") : mail.content;
  const steps = [
    "EHLO tiny\r\n",
    `MAIL FROM:<${mail.from}>\r\n`,
    ...mail.to.map((address) => `RCPT TO:<${address}>\r\n`),
    "DATA\r\n",
    content,
    "QUIT\r\n",
  ];
  let input = "";
  for await (const chunk of socket) {
    input += (chunk as Buffer).toString("latin1");
    for (let end = input.indexOf("\r\n"); end !== -1; end = input.indexOf("\r\n")) {
      const isLast = input[3] === " ";
      input = input.slice(end + 2);
      const step = isLast ? steps.shift() : undefined;
      if (step !== undefined) socket.write(step, "latin1");
    }
  }
}
