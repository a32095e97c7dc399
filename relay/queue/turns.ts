/**
 * Whose turn it is: round robin between tenants (sending domains), and within a tenant between recipient
 * domains, so that neither one customer's mailing nor one huge destination starves the rest. Within a
 * domain, first come, first served. Maps keep the order of insertion: the first key is the next in turn,
 * and goes to the end when it was served.
 */
export class Turns<T> {
  readonly #tenants = new Map<string, Map<string, Set<T>>>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  add(tenant: string, domain: string, item: T): void {
    let domains = this.#tenants.get(tenant);
    if (domains === undefined) this.#tenants.set(tenant, (domains = new Map()));
    let lane = domains.get(domain);
    if (lane === undefined) domains.set(domain, (lane = new Set()));
    if (!lane.has(item)) this.#size++;
    lane.add(item);
  }

  /** Who is next, without serving; undefined when nobody waits. */
  peek(): T | undefined {
    const [domains] = this.#tenants.values();
    const [lane] = domains?.values() ?? [];
    const [item] = lane ?? [];
    return item;
  }

  /** Moves the tenant in turn, and its domain in turn, behind the others. */
  rotate(): void {
    const [tenant] = this.#tenants;
    if (tenant === undefined) return;
    const [tenantKey, domains] = tenant;
    const [domain] = domains;
    if (domain !== undefined) {
      domains.delete(domain[0]);
      domains.set(domain[0], domain[1]);
    }
    this.#tenants.delete(tenantKey);
    this.#tenants.set(tenantKey, domains);
  }

  delete(tenant: string, domain: string, item: T): void {
    const domains = this.#tenants.get(tenant);
    const lane = domains?.get(domain);
    if (domains === undefined || lane === undefined || !lane.delete(item)) return;
    this.#size--;
    if (lane.size > 0) return;
    domains.delete(domain);
    if (domains.size === 0) this.#tenants.delete(tenant);
  }

  *[Symbol.iterator](): Iterator<T> {
    for (const domains of this.#tenants.values()) for (const lane of domains.values()) yield* lane;
  }
}
