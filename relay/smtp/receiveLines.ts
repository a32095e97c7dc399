/**
 * The incoming bytes of a session as command lines and, after DATA, as content: smtp-server's parser with
 * the rules we want. That one also ends lines at a bare LF and looks at content byte by byte.
 *
 * A command line ends with CRLF, holds neither CR, LF nor NUL, and is bounded. Replies to commands that came
 * in one packet leave in one packet. Commands behind DATA's end are kept until its reply was sent.
 */
import type { Socket } from "node:net";

// The parser is not exported by the package's main entry; the connection makes its own through this one.
import { SMTPStream } from "smtp-server/lib/smtp-stream.js";

import { DataDecoder, type LineFault } from "./dataDecoder.ts";

/** What takes the content after DATA. */
export interface ContentSink {
  /** A view of what came; nothing is pushed any more after a fault. */
  push(piece: Buffer): void;
  /** All pieces of one packet are pushed; the promise is back pressure and never rejects. */
  flush(packet: { readonly bytes: number; readonly fault: LineFault | undefined }): Promise<void> | undefined;
  /** CRLF.CRLF was read; `done` lets the next command in, once the reply is sent. */
  end(done: () => void): void;
}

export type CommandFault = "TooLong" | "BareLineEnd" | "Nul";

const NUL = 0x00;
const LF = 0x0a;
const CR = 0x0d;
/** RFC 5321 §4.5.3.1.4 has 512 octets, its extensions add up to some 1800, a PLAIN initial response to 1100. */
const LONGEST_COMMAND_BYTES = 4096;
/** Commands of one packet that run before others get their turn. */
const COMMANDS_A_TURN = 100;
const nothing = Buffer.alloc(0);

interface RunningContent {
  readonly sink: ContentSink;
  readonly decoder: DataDecoder;
}

export interface LineReaderOptions {
  readonly socket: () => Socket;
  readonly onCommand: (line: Buffer, next: () => void) => void;
  /** Not a line we read; the session must end, for nobody knows where its next command begins. */
  readonly onFault: (fault: CommandFault) => void;
}

export class LineReader extends SMTPStream {
  readonly #options: LineReaderOptions;
  #rest: Buffer = nothing;
  #content: RunningContent | undefined;

  constructor(options: LineReaderOptions) {
    super();
    this.#options = options;
    this.oncommand = (line, next) => options.onCommand(line, next ?? (() => {}));
  }

  /** Whether bytes came behind the command that runs now. */
  get hasMore(): boolean {
    return this.#rest.length > 0;
  }

  /** From the next byte on it is content. */
  takeContent(sink: ContentSink): void {
    this.#content = { sink, decoder: new DataDecoder() };
  }

  override _write(chunk: Buffer, _encoding: string, next: (error?: Error | null) => void): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#run(next);
  }

  /** An unfinished line at the end of the connection is no command. */
  override _flushData(): void {
    this.#rest = nothing;
  }

  #run(next: () => void): void {
    const socket = this.#options.socket();
    socket.cork();
    try {
      for (let count = 1; ; count++) {
        if (this.isClosed) this.#rest = nothing;
        else if (this.#content !== undefined) return this.#runContent(this.#content, next);
        const line = this.#nextLine();
        if (line === undefined) return next();
        let place: "running" | "done" | "waiting" = "running";
        this.oncommand(line, () => {
          const before = place;
          place = "done";
          if (before === "waiting") this.#run(next);
        });
        // A command that answers later calls back; one that did is done, whatever the compiler believes.
        if ((place as string) !== "done") {
          place = "waiting";
          return undefined;
        }
        if (count === COMMANDS_A_TURN) {
          setImmediate(() => this.#run(next));
          return undefined;
        }
      }
    } finally {
      socket.uncork();
    }
  }

  /** Undefined when none is complete or the line is none. */
  #nextLine(): Buffer | undefined {
    const end = this.#rest.indexOf(LF);
    if (end === -1 && this.#rest.length <= LONGEST_COMMAND_BYTES) return undefined;
    const line = this.#rest.subarray(0, end === -1 ? this.#rest.length : end);
    this.#rest = this.#rest.subarray(end === -1 ? this.#rest.length : end + 1);
    const fault = commandFault(line);
    if (fault === undefined) return line.subarray(0, -1);
    this.#rest = nothing;
    this.#options.onFault(fault);
    return undefined;
  }

  #runContent({ sink, decoder }: RunningContent, next: () => void): void {
    const packet = this.#rest;
    this.#rest = nothing;
    const used = decoder.feed(packet, (piece) => sink.push(piece));
    const wait = sink.flush({ bytes: used === -1 ? packet.length : used, fault: decoder.fault });
    const goOn = () => {
      if (used === -1) return next();
      this.#content = undefined;
      this.#rest = packet.subarray(used);
      sink.end(() => this.#run(next));
    };
    if (wait === undefined) goOn();
    else void wait.then(goOn);
  }
}

function commandFault(line: Buffer): CommandFault | undefined {
  if (line.length > LONGEST_COMMAND_BYTES) return "TooLong";
  if (line.at(-1) !== CR || line.indexOf(CR) !== line.length - 1) return "BareLineEnd";
  return line.includes(NUL) ? "Nul" : undefined;
}
