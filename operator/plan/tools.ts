/**
 * What a plan needs that is neither World nor pure: slow or chancy work, done beforehand by the caller and
 * handed in as a synchronous function, so that planning stays a function of its arguments.
 */

export interface PlanTools {
  /**
   * Hash of a credential's password in the form relay/kit/passwordHash.ts writes. `previousHash` is the one
   * in force: when it verifies, the caller returns it unchanged, so that a revision does not change because
   * a salt did. Called only with the pairs that `passwordsToHash` listed.
   */
  hashPassword(password: string, previousHash: string | null): string;
}
