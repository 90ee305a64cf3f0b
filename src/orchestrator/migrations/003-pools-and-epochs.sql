-- A VM may be launched more than once: a launch that gave no answer is asked for again. Each such launch has an epoch and
-- a bootstrap token (its hash); the first agent to enrol makes its own launch the one that counts, `epoch`, and agents
-- of any other are fenced. Until then `epoch` is the latest launch's, 0 before the first.
alter table orchestrator.vms
  add column epoch    integer not null default 0,
  add column launches jsonb   not null default '[]',
  drop column bootstrap_hash,
  drop column bootstrap_expires_at;

-- A hold is a circuit breaker now: it outlives `until` (one VM at a time is tried then), is longer after each failure,
-- and goes away when a VM comes up there.
alter table orchestrator.capacity_holds
  add column scope    text    not null default 'place' check (scope in ('place', 'provider')),
  add column failures integer not null default 1 check (failures > 0);

-- What the pool of a region × template did last, for its cooldowns. No row: nothing yet.
create table orchestrator.pools (
  region        text,
  template_id   text,
  scaled_out_at timestamptz,
  scaled_in_at  timestamptz,
  surplus_since timestamptz,
  primary key (region, template_id)
);
