// Whose turn it is: the queue is fair between tenants, and first come first served within each.
//
// Rounds: in a round every tenant that waits is served once; among those not served yet the one whose request came first
// goes next, and when all have been, a new round begins. (Fair queueing by round robin, Nagle, RFC 970; Start-time Fair
// Queueing with requests of equal cost, Goyal et al., SIGCOMM 1996, gives the same order.) So however many requests a
// tenant has: before the next one of another it gets one seat, two where a round ends. A tenant that was away has saved
// nothing up, and one whose requests leave the queue loses nothing: a turn is had when a seat is given, not by asking.
//
// A request that cannot be served now costs its tenant no turn: the tenant's next one is tried instead. A session that
// waits again, because its VM broke, goes first, and that is no turn of its tenant's.

/** The tenants that had their turn in the present round. */
export type Round = ReadonlySet<string>;

/** What of a request decides its turn. */
export interface Turn {
  readonly tenant: string;
  /** Its VM broke. */
  readonly again: boolean;
}

/** The round after these were served, one after the other. */
export function roundAfter(round: Round, served: readonly Turn[]): Round {
  const had = new Set(round);
  for (const turn of served) take(had, turn);
  return had;
}

/**
 * Tries every request in turn; `serve` says whether it was served. `queue`: in the order they came. Answers the line:
 * those served, in that order, then the others as their turns would be.
 */
export function serveInTurn<R extends Turn>(queue: readonly R[], round: Round, serve: (request: R) => boolean): R[] {
  const had = new Set(round);
  const line: R[] = [];
  const unserved: Place<R>[] = [];
  const attempt = (place: Place<R>) => {
    if (!serve(place.request)) unserved.push(place);
    else {
      take(had, place.request);
      line.push(place.request);
    }
  };
  const places = queue.map((request, came) => ({ request, came }));
  for (const place of places) if (place.request.again) attempt(place);
  const tenants = [...byTenant(places.filter(({ request }) => !request.again)).values()].map((own) => own.toReversed());
  const sooner = (a: Place<R>[], b: Place<R>[]) => (precedes(a.at(-1)!, b.at(-1)!, had) ? a : b);
  while (tenants.length > 0) {
    const next = tenants.reduce(sooner);
    attempt(next.pop()!);
    if (next.length === 0) tenants.splice(tenants.indexOf(next), 1);
  }
  return [...line, ...inTurn(unserved, had)];
}

interface Place<R> {
  readonly request: R;
  readonly came: number;
}

function take(had: Set<string>, { tenant, again }: Turn): void {
  if (again) return;
  if (had.has(tenant)) had.clear();
  had.add(tenant);
}

function precedes(a: Place<Turn>, b: Place<Turn>, had: Round): boolean {
  const [itsHad, otherHad] = [had.has(a.request.tenant), had.has(b.request.tenant)];
  return itsHad === otherHad ? a.came < b.came : otherHad;
}

/** As they would be served if all could be from now on. */
function inTurn<R extends Turn>(places: readonly Place<R>[], had: Round): R[] {
  const rounds = [...byTenant(places.toSorted((a, b) => a.came - b.came))].flatMap(([tenant, own]) => {
    const first = had.has(tenant) ? 2 : 1;
    let turns = 0;
    return own.map((place) => ({ ...place, round: place.request.again ? 0 : first + turns++ }));
  });
  return rounds.sort((a, b) => a.round - b.round || a.came - b.came).map(({ request }) => request);
}

function byTenant<R extends Turn>(places: readonly Place<R>[]): Map<string, Place<R>[]> {
  const tenants = new Map<string, Place<R>[]>();
  for (const place of places) {
    const own = tenants.get(place.request.tenant);
    if (own === undefined) tenants.set(place.request.tenant, [place]);
    else own.push(place);
  }
  return tenants;
}
