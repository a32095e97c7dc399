/** What to try next, as lines to paste. Pure but for the paths. */
import { join } from "node:path";

import type { LocalMode } from "../localMode.ts";
import { shown } from "../session.ts";
import { DEFAULT_STATE } from "../commandLine.ts";
import { INBOX_DOMAIN } from "./receiver.ts";
import type { Cast } from "./steps.ts";

export function hints(local: LocalMode, cast: Cast, folder: string): string[] {
  const { relay, domain } = cast;
  const { port = 587, secretName = "" } = relay.status?.settings ?? {};
  const secret = shown(join(local.state.secrets, secretName));
  const from = `you@${domain.spec.domain}`;
  const user = relay.spec.auth.credentials[0]?.name ?? "app";
  const state = shown(local.state.root) === `./${DEFAULT_STATE}` ? "" : ` --state ${shown(local.state.root)}`;
  const own =
    local.ports().find((one) => one.relay === relay.metadata.name && one.port === 587)?.localPort ?? port;
  const password = `"$(cat ${secret}/password)"`;
  return [
    "  Send one yourself:",
    `    swaks --server 127.0.0.1:${own} -tls --auth-user ${user} --auth-password ${password} \\`,
    `          --from ${from} --to someone@${INBOX_DOMAIN}`,
    "  or, where there is no swaks:",
    `    printf 'From: ${from}\\nTo: someone@${INBOX_DOMAIN}\\nSubject: hello\\n\\nhello\\n' |`,
    `    curl --crlf --ssl-reqd --insecure --upload-file - --url smtp://127.0.0.1:${own} \\`,
    `         --user ${user}:${password} \\`,
    `         --mail-from ${from} --mail-rcpt someone@${INBOX_DOMAIN}`,
    `  Then:   npx smtp-relay queue${state}      what waits, and why`,
    `          (mail to later@${INBOX_DOMAIN} is put off by its receiver, so that there is some)`,
    `          edit ${join(folder, "relay.yaml")} and save: it is applied at once`,
    `  Stop with Ctrl-C; mail that waits is kept in ${shown(local.state.root)}`,
  ];
}
