/**
 * The steps of the quickstart, in order: each waits for something to be true and shows it, or says what is
 * still missing and ends the run.
 */
import { systemClock } from "../../../relay/kit/clock.ts";
import { systemRandom } from "../../../relay/kit/random.ts";
import type { LocalMode } from "../localMode.ts";
import { shown, submissionText } from "../session.ts";
import { type Checklist, StepFailed, untilTrue } from "./checklist.ts";
import type { Mailbox } from "./mailbox.ts";
import { INBOX_DOMAIN } from "./receiver.ts";
import { type Cast, castOf, leftToday, lookAtDns, lookAtKeys, lookAtRelays, usedToday } from "./steps.ts";
import { type Account, secretText, submit } from "./submit.ts";
import { createVerifier, type Verify } from "./verify.ts";

export const MESSAGES = 20;
const STEP_SECONDS = 45;
/** Status follows reports at its own pace; the table is worth a short wait and nothing more. */
const TABLE_SECONDS = 20;
const SESSIONS = 4;

export interface RunTools {
  readonly checklist: Checklist;
  readonly mailbox: Mailbox;
  /** When this run began; keys made before it are kept ones. */
  readonly startedAt: number;
  /** The table is shown once: wait until today's use stands in it. */
  readonly tableMatters: boolean;
}

/** Rejects with StepFailed at the first step that does not come true. */
export async function runSteps(local: LocalMode, tools: RunTools): Promise<void> {
  const { checklist, mailbox, startedAt, tableMatters } = tools;
  const wait = { clock: systemClock, seconds: STEP_SECONDS };
  const cast = () => theCast(local);
  await checklist.step("manifests", async () => {
    if (local.firstOutcome.kind === "refused") throw new StepFailed(local.firstOutcome.lines.join("; "));
    const { relay, domain, pool } = cast();
    const names = [relay, domain, pool].map((object) => `${object.kind} ${object.metadata.name}`);
    return `${local.firstOutcome.objects.length} read (${names.join(", ")})`;
  });
  await checklist.step("keys", (progress) =>
    untilTrue(local, { ...wait, progress }, () => lookAtKeys(cast(), startedAt)),
  );
  const server = `${local.zone?.host}:${local.zone?.port}`;
  await checklist.step("DNS", (progress) =>
    untilTrue(local, { ...wait, progress }, () => lookAtDns(cast(), server)),
  );
  await checklist.step("relays", (progress) =>
    untilTrue(local, { ...wait, progress }, () => {
      const { metadata } = cast().relay;
      return lookAtRelays(cast(), local, submissionText(local, metadata.namespace, metadata.name));
    }),
  );
  const usedBefore = usedToday(cast());
  const count = messagesFor(cast(), checklist, local);
  const run = Buffer.from(systemRandom.bytes(6)).toString("hex");
  const ids = Array.from(
    { length: count },
    (_, n) => `<quickstart-${run}-${n + 1}@${cast().domain.spec.domain}>`,
  );
  await checklist.step(`${count} messages`, async (progress) => {
    await submitAll(local, ids, progress);
    const arrived = await untilTrue(local, { ...wait, progress }, () => {
      const mails = mailbox.withIds(ids);
      const text = `accepted ${count} · delivered ${mails.length}`;
      return mails.length < count ? { missing: text } : { done: mails };
    });
    const signed = arrived.filter(({ content }) =>
      /^dkim-signature:/im.test(content.toString("latin1")),
    ).length;
    const found = `accepted ${count} · signed ${signed} · delivered ${arrived.length} to a receiving server on this machine`;
    if (signed < count) throw new StepFailed(found);
    return found;
  });
  await checklist.step("signatures", async () => {
    const verify = verifierOf(local);
    const verdicts = (await Promise.all(mailbox.withIds(ids).map(({ content }) => verify(content)))).flat();
    const valid = verdicts.filter((verdict) => verdict.valid).length;
    // Two keys, so two signatures on each.
    const found = `${valid} of ${2 * count} valid (checked by another implementation)`;
    if (valid === 2 * count) return found;
    throw new StepFailed(
      `${found}; ${verdicts.find((verdict) => !verdict.valid)?.reason ?? "none was found"}`,
    );
  });
  if (tableMatters) await untilCounted(local, usedBefore + count);
}

export function verifierOf(local: LocalMode): Verify {
  return createVerifier(`${local.zone?.host}:${local.zone?.port}`);
}

function theCast(local: LocalMode): Cast {
  const found = castOf(local.objects());
  if (typeof found === "string") throw new StepFailed(`not there: ${found}`);
  return found;
}

/** How many messages today's warm-up leaves room for. */
function messagesFor(cast: Cast, checklist: Checklist, local: LocalMode): number {
  const left = leftToday(cast);
  if (left === null || left >= MESSAGES) return MESSAGES;
  checklist.note(
    `the warm-up leaves ${left} recipients until midnight UTC; to start afresh: rm -r ${shown(local.state.root)}`,
  );
  if (left === 0) throw new StepFailed("today's allowance of the addresses is used up");
  return left;
}

/** Half over STARTTLS, half over TLS from the first byte, a few at a time. */
async function submitAll(
  local: LocalMode,
  ids: readonly string[],
  progress: (text: string) => void,
): Promise<void> {
  const cast = theCast(local);
  const account = accountOf(local, cast);
  const { name, namespace } = cast.relay.metadata;
  const doors = local
    .ports()
    .filter((port) => port.relay === name && port.namespace === namespace)
    .map(({ port, localPort }) => ({
      port: localPort,
      implicitTls: cast.relay.spec.listeners.find((listener) => listener.port === port)?.tls === "Implicit",
    }));
  let accepted = 0;
  const waiting = [...ids.entries()];
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const [index, id] = next;
      const door = doors[index % doors.length];
      if (door === undefined) throw new StepFailed("no port for clients is open");
      const letter = {
        id,
        from: `Quickstart <app@${cast.domain.spec.domain}>`,
        to: `reader-${index + 1}@${INBOX_DOMAIN}`,
        subject: `Message ${index + 1} of ${ids.length}`,
        text: `This is message ${index + 1}.\r\n.\r\nA line with one dot stands above.\r\n`,
      };
      try {
        await submit(account, door, letter);
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new StepFailed(`message ${index + 1} was not accepted at port ${door.port}: ${reason}`);
      }
      progress(`accepted ${++accepted}`);
    }
  };
  await Promise.all(Array.from({ length: SESSIONS }, () => work()));
}

function accountOf(local: LocalMode, { relay }: Cast): Account {
  const credential = local.secret(relay.metadata.namespace, relay.status?.settings?.secretName ?? "");
  return {
    host: "127.0.0.1",
    hostname: relay.spec.hostname,
    username: secretText(credential, "username"),
    password: secretText(credential, "password"),
    certificate: secretText(credential, "ca.crt"),
  };
}

/** Today's use goes from relay to report to status; then the table shows it. */
async function untilCounted(local: LocalMode, used: number): Promise<void> {
  const wait = { clock: systemClock, seconds: TABLE_SECONDS, progress: () => {} };
  try {
    await untilTrue(local, wait, () => {
      const cast = theCast(local);
      return leftToday(cast) === null || usedToday(cast) >= used ? { done: true } : { missing: "the count" };
    });
  } catch (error) {
    // The table will show it when the report has come.
    if (!(error instanceof StepFailed)) throw error;
  }
}
