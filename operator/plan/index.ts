/**
 * What reconcilers call, in one place. All of it is pure: World in, plan, status and next look out.
 *
 * What the caller owes (promise 4, docs/decisions/0005-warmup-rows.md):
 * - Relay and pool reconciles run one at a time within the process, and gather `pools[].status`,
 *   `publishedConfig` and reports freshly: a ledger or a configuration older than one's own last write
 *   could grant what was just given away. Reports are asked for after `publishedConfig` was read.
 * - IpPool.status is written before a relay is planned from it.
 * - `PoolWorld.relays` holds the relays that name the pool and those whose pods stand in its ledger, so
 *   that a relay that changed pools can be seen to let go.
 */
export { passwordsToHash } from "./credentials.ts";
export type { PasswordToHash } from "./passwords.ts";
export { planRelay } from "./relay.ts";
export { expectedDomainRecords, planDomain } from "./domain.ts";
export { allVerified } from "./dnsRecords.ts";
export { expectedPoolRecords, planPool } from "./pool.ts";
export type { PlanTools } from "./tools.ts";
export { relayStatus } from "../status/relayStatus.ts";
export { domainStatus } from "../status/domainStatus.ts";
export { poolStatus } from "../status/poolStatus.ts";
export { domainNextLook, poolNextLook, relayNextLook } from "../status/nextLook.ts";
