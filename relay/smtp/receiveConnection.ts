/**
 * smtp-server's connection with its replies and its sockets made ours: one place for enhanced codes, for
 * lengths, for which socket is on top, and no time-outs of its own (the session has a watch by our clock).
 */
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";

import { SMTPConnection } from "smtp-server/lib/smtp-connection.js";

/** RFC 5321 §4.5.3.1.5: a reply line has 512 octets. */
const LONGEST_REPLY_TEXT = 480;
const enhancedCode = /^[245]\.\d{1,3}\.\d{1,3} /;

export class TamedConnection extends SMTPConnection {
  /** The TLS socket while its handshake runs on top of the one the library still calls its own. */
  #topSocket: Socket | undefined;

  /** Ends without a word. */
  drop(): void {
    (this.#topSocket ?? this._socket).destroy();
  }

  /** Version and cipher in force; null in plain text. */
  tlsFacts(): { version: string; cipher: string } | null {
    if (!(this._socket instanceof TLSSocket)) return null;
    return { version: this._socket.getProtocol() ?? "TLS", cipher: this._socket.getCipher().name };
  }

  /** Time-outs are the watch's, by our clock. */
  override _armTimeout(socket: Socket = this._socket): void {
    this.#topSocket = socket;
  }

  /**
   * A line of ours that needs no taming, on the way of every message: the library looks for its enhanced code and
   * for control characters, and hands it to a logger, at three times what the line costs.
   */
  protected sendLine(line: string): void {
    if (!this._upgrading && this._socket.writable) this._socket.write(`${line}\r\n`);
  }

  /** A text of ours begins with its enhanced code; the library's get the one of its table. */
  override send(code: number, data?: string | string[] | null, context?: string | false): void {
    const ours = typeof data === "string" && enhancedCode.test(data);
    const text = typeof data === "string" ? data.slice(0, LONGEST_REPLY_TEXT) : data;
    super.send(code, text, ours ? false : context);
  }

  override _getEnhancedStatusCode(code: number, context?: string | false): string {
    // RFC 4954 §6: encryption required for the mechanism. RFC 3463: 4.7.0 for clients we have had enough of.
    if (context !== false && code === 538) return "5.7.11";
    if (context !== false && code === 421) return "4.7.0";
    return super._getEnhancedStatusCode(code, context);
  }
}
