// `helm test`: does the API take what it should, refuse what it should, and does the operator say it is ready?
// Nothing is written: every request is a dry run.
import { readFile } from "node:fs/promises";

const {
  NAMESPACE: namespace,
  OPERATOR_URL: operatorUrl,
  API_URL: apiUrl = "https://kubernetes.default.svc",
  TOKEN_FILE: tokenFile = "/var/run/secrets/kubernetes.io/serviceaccount/token",
} = process.env;
const token = (await readFile(tokenFile, "utf8")).trim();
const name = "helm-test";

const relay = { hostname: "mail.example.com", poolRef: { name } };
const address = { name: "a", ip: "192.0.2.1", ehloName: "a.mail.example.com" };
const cases = [
  { plural: "ippools", kind: "IpPool", spec: { addresses: [address] }, wanted: 201 },
  { plural: "smtprelays", kind: "SmtpRelay", spec: relay, wanted: 201 },
  { plural: "sendingdomains", kind: "SendingDomain", spec: { domain: "example.com", relayRef: { name } }, wanted: 201 },
  // A name twice: the schema's map key. An address that is none: a rule.
  { plural: "ippools", kind: "IpPool", spec: { addresses: [address, address] }, wanted: 422 },
  { plural: "ippools", kind: "IpPool", spec: { addresses: [{ ...address, ip: "192.0.2.256" }] }, wanted: 422 },
];

let failed = false;
for (const { plural, kind, spec, wanted } of cases) {
  const url = `${apiUrl}/apis/smtprelay.dev/v1alpha1/namespaces/${namespace}/${plural}?dryRun=All&fieldValidation=Strict`;
  await check(`${kind} ${wanted === 201 ? "is accepted" : "with a mistake is refused"}`, wanted, url, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: JSON.stringify({ apiVersion: "smtprelay.dev/v1alpha1", kind, metadata: { name }, spec }),
  });
}
if (operatorUrl) await check("the operator is ready", 200, `${operatorUrl}/readyz`, {});
process.exitCode = failed ? 1 : 0;

async function check(what, wanted, url, options) {
  try {
    const reply = await fetch(url, { ...options, signal: AbortSignal.timeout(15_000) });
    const text = await reply.text();
    if (reply.status === wanted) return console.log(`ok      ${what}`);
    console.log(`FAILED  ${what}: HTTP ${reply.status} instead of ${wanted}: ${text.slice(0, 500)}`);
  } catch (error) {
    console.log(`FAILED  ${what}: ${error.message} (${error.cause?.message ?? "no more is known"})`);
  }
  failed = true;
}
