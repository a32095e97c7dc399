/**
 * Why we do not take something, as the client hears it: reply code, enhanced code (RFC 3463) and a plain
 * sentence that names the fact. Pure values; whoever speaks SMTP sends them.
 */

export interface Refusal {
  readonly code: number;
  readonly enhanced: string;
  readonly text: string;
}

export function refusal(code: number, enhanced: string, text: string): Refusal {
  return { code, enhanced, text };
}
