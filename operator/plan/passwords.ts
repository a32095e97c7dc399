/** A password a relay plan will ask to have hashed, so that the slow work can be done beforehand. */
export interface PasswordToHash {
  readonly credential: string;
  readonly password: string;
  /** The hash in the published configuration, if there is one. */
  readonly previousHash: string | null;
  /** `previousHash` is known to be of this password: it was checked when the Secret was as it is now. */
  readonly checked: boolean;
}
