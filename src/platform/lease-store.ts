// Work that one process at a time does: it holds a lease, and renews it as it goes.
//
// A holder that dies is succeeded once its lease has run out; one that stops gives it back. A holder that was paused
// longer than its lease may still act once: what it writes must be guarded by `renewLease` in the same transaction.
// No connection is held, so leases cost nothing while work waits for somebody else. Times are the database's.
import type { Queryable } from "./database.js";

export interface Lease {
  readonly name: string;
  readonly holder: string;
  readonly msMax: number;
}

/** True: it is ours now, for `msMax` from now. */
export async function takeLease(db: Queryable, { name, holder, msMax }: Lease): Promise<boolean> {
  const taken = await db.query(
    {
      name: "lease-take",
      text: `
        insert into platform.leases as lease (name, holder, until)
        values ($1, $2, clock_timestamp() + $3 * interval '1 ms')
        on conflict (name) do update set holder = excluded.holder, until = excluded.until
         where lease.holder = excluded.holder or lease.until < clock_timestamp()
        returning holder`,
    },
    [name, holder, msMax],
  );
  return taken.length > 0;
}

/** True: it was ours all the time, and stays so; its row is locked until the transaction ends. */
export async function renewLease(tx: Queryable, { name, holder, msMax }: Lease): Promise<boolean> {
  const renewed = await tx.query(
    {
      name: "lease-renew",
      text: `
        update platform.leases set until = clock_timestamp() + $3 * interval '1 ms'
         where name = $1 and holder = $2 returning holder`,
    },
    [name, holder, msMax],
  );
  return renewed.length > 0;
}

export async function giveLeaseBack(db: Queryable, { name, holder }: Lease): Promise<void> {
  await db.query("delete from platform.leases where name = $1 and holder = $2", [name, holder]);
}
