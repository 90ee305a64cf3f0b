-- A queue that is fair between tenants, that nobody starves in, whose requests are renewed, and that says how long it
-- takes.

-- Since when the session waits, or waited before it got its seat; null: it never did. Since when others were seated
-- where it could have been, had there been more room. When it would have its seat by the first estimate it was told,
-- and when that was.
alter table orchestrator.placements
  add column queued_at    timestamptz,
  add column overtaken_at timestamptz,
  add column eta_told_at  timestamptz,
  add column eta_at       timestamptz;
update orchestrator.placements set queued_at = now() where vm_id is null;
alter table orchestrator.placements
  add check (vm_id is not null or queued_at is not null),
  add check ((eta_told_at is null) = (eta_at is null));

-- The tenants that had a seat from the queue in the present round (placement/turns.ts).
create table orchestrator.queue_round (
  tenant text primary key
);

-- How long sessions of a game keep their seat: an exponential moving average, ms.
create table orchestrator.seat_times (
  game_id    text primary key,
  average_ms double precision not null
);
