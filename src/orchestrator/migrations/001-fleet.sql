-- VMs, who sits on them or waits, and the events that tell of every change.

-- One row a VM, kept for a while after its end. `used_units` is the sum of its placements' units, changed only under
-- the row's lock. No index on it, and a low fill factor: then the hottest update stays on its page (HOT).
create table orchestrator.vms (
  vm_id                text primary key,
  template_id          text not null,
  region               text not null,
  provider             text not null,
  status               text not null check (status in
                         ('TEMPLATE', 'PROVISIONING', 'BOOTING', 'READY', 'IN_USE', 'DRAINING', 'ERROR', 'TERMINATED')),
  version              integer not null default 1,
  reachable            boolean not null default true,
  used_units           integer not null default 0 check (used_units between 0 and 60),
  capabilities         jsonb,
  error                jsonb,
  reason               text,
  bootstrap_hash       text,
  bootstrap_expires_at timestamptz,
  agent_key            jsonb,
  created_at           timestamptz not null,
  launch_claimed_at    timestamptz,
  launched_at          timestamptz,
  ready_at             timestamptz,
  heard_at             timestamptz,
  drain_deadline_at    timestamptz,
  terminated_at        timestamptz,
  destroyed_at         timestamptz
) with (fillfactor = 70);

create index vms_live on orchestrator.vms (vm_id) where status not in ('TEMPLATE', 'TERMINATED');
create index vms_to_destroy on orchestrator.vms (vm_id) where status = 'TERMINATED' and destroyed_at is null;
create index vms_newest on orchestrator.vms (created_at desc, vm_id desc);

insert into orchestrator.vms (vm_id, template_id, region, provider, status, created_at)
select 'template-' || template_id, template_id, 'us-east-1', 'local', 'TEMPLATE', now()
  from unnest(array['L4-360', 'L4-90', 'A10', 'A16', 'RTX-4060', 'RTX-4080']) as template_id;

-- One row a session: seated on a VM, or waiting (no VM). That it is never both is the primary key's doing.
-- `ticket` is its place in the queue and outlives a seat lost to a broken VM; `again` says that this happened.
create table orchestrator.placements (
  session_id  text primary key,
  tenant      text not null,
  demand      jsonb not null,
  spec        jsonb not null,
  ticket      bigint generated always as identity,
  again       boolean not null default false,
  expires_at  timestamptz not null,
  vm_id       text,
  units       integer check (units between 1 and 60),
  assigned_at timestamptz,
  check ((vm_id is null) = (units is null))
);

create index placements_waiting on orchestrator.placements (ticket) where vm_id is null;
create index placements_by_vm on orchestrator.placements (vm_id) where vm_id is not null;

-- Places whose provider lately had no capacity: no VM is made there until then.
create table orchestrator.capacity_holds (
  region      text,
  template_id text,
  provider    text not null,
  until       timestamptz not null,
  primary key (region, template_id)
);

-- How long VMs take from creation to READY: an exponential moving average, ms.
create table orchestrator.launch_times (
  provider    text,
  template_id text,
  average_ms  double precision not null,
  primary key (provider, template_id)
);

-- Pools for which VMPoolLowCapacity was sent and that have not recovered since.
create table orchestrator.low_pools (
  region      text,
  template_id text,
  primary key (region, template_id)
);

create table orchestrator.outbox (
  seq        bigint generated always as identity primary key,
  type       text not null,
  subject    text not null,
  vm_version integer,
  data       jsonb not null,
  created_at timestamptz not null
);

-- The last event a relay has published.
create table orchestrator.relay_cursors (
  name text primary key,
  seq  bigint not null
);

-- The simulated provider's machines: its cloud, so to speak. Only that provider reads and writes it.
create table orchestrator.simulated_instances (
  vm_id       text primary key,
  running_at  timestamptz not null,
  ready_at    timestamptz not null,
  announced   boolean not null default false
);
