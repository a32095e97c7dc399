/** Judges DKIM signatures by Debian's python3-dkim, which shares no line with our signer nor with mailauth. */
import { debianPython } from "./debian.ts";
import { runProgram } from "./program.ts";

const script = `
import base64, dkim, json, sys
given = json.load(sys.stdin)
message = base64.b64decode(given["message"])
records = {name.rstrip("."): value for name, value in given["records"].items()}
def txt(name, timeout=5):
    if isinstance(name, bytes): name = name.decode("ascii")
    value = records.get(name.rstrip("."))
    return value.encode("ascii") if value is not None else None
verifier = dkim.DKIM(message)
count = sum(1 for name, _ in verifier.headers if name.lower() == b"dkim-signature")
results = []
for index in range(count):
    try:
        results.append(bool(dkim.DKIM(message).verify(idx=index, dnsfunc=txt)))
    except Exception as error:
        results.append(str(error))
print(json.dumps(results))
`;

/** One entry a DKIM-Signature, in order: true, false, or why it could not be judged. */
export async function pythonDkimVerdicts(
  message: Buffer,
  txtRecords: Readonly<Record<string, string>>,
): Promise<readonly (boolean | string)[]> {
  const input = JSON.stringify({ message: message.toString("base64"), records: txtRecords });
  return JSON.parse(await runProgram(debianPython, ["-c", script], { input })) as (boolean | string)[];
}
