/** The passwords a relay plan will ask to have hashed. */
import type { RelayWorld } from "../world.ts";

export interface PasswordToHash {
  readonly credential: string;
  readonly password: string;
  /** The hash in the published configuration, if there is one. */
  readonly previousHash: string | null;
}

export function passwordsToHash(_world: RelayWorld): readonly PasswordToHash[] {
  return [];
}
