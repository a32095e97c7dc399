/** The passwords a relay plan will ask to have hashed, so that the slow work can be done beforehand. */
import type { RelayWorld } from "../world.ts";
import { passwordPairs } from "./credentials.ts";

export interface PasswordToHash {
  readonly credential: string;
  readonly password: string;
  /** The hash in the published configuration, if there is one. */
  readonly previousHash: string | null;
}

export function passwordsToHash(world: RelayWorld): readonly PasswordToHash[] {
  return passwordPairs(world);
}
