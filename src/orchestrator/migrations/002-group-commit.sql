-- What batched placement needs: news of every VM for the replicas' memory, which replicas there are, and why a session
-- got its VM.

-- A replica keeps the fleet in memory (placement/live-fleet-store.ts). Every change of a row that its version counts is
-- told, whoever makes it; heartbeats change no version and are not. Once a statement, not once a row: that takes a
-- quarter of the time. Fired at commit, so never of what was rolled back. At most 130 bytes a VM, 8,000 a notification.
create function orchestrator.tell_of_vms() returns trigger language plpgsql as $$
declare news text[];
begin
  if tg_op = 'INSERT' then
    select array_agg(concat_ws('|', v.vm_id, v.region, v.template_id, v.provider, v.status, v.version, v.reachable::integer, v.used_units,
                     coalesce(v.capabilities->>'sessionsMax', '-')))
      into news from new_vms v;
  elsif tg_op = 'UPDATE' then
    select array_agg(concat_ws('|', v.vm_id, v.region, v.template_id, v.provider, v.status, v.version, v.reachable::integer, v.used_units,
                     coalesce(v.capabilities->>'sessionsMax', '-')))
      into news from new_vms v join old_vms o using (vm_id) where v.version <> o.version;
  else
    select array_agg(vm_id) into news from old_vms where status <> 'TERMINATED';
  end if;
  for i in 1 .. coalesce(array_length(news, 1), 0) by 60 loop
    perform pg_notify('orchestrator_fleet', array_to_string(news[i:i + 59], E'\n'));
  end loop;
  return null;
end $$;

create trigger vms_made after insert on orchestrator.vms
  referencing new table as new_vms for each statement execute function orchestrator.tell_of_vms();
create trigger vms_changed after update on orchestrator.vms
  referencing old table as old_vms new table as new_vms for each statement execute function orchestrator.tell_of_vms();
create trigger vms_forgotten after delete on orchestrator.vms
  referencing old table as old_vms for each statement execute function orchestrator.tell_of_vms();

-- Who runs: each replica prefers its share of the VMs, so that two seldom want the same one.
create table orchestrator.replicas (
  replica_id text primary key,
  seen_at    timestamptz not null
);

-- Why each session got its VM (placement/decision.ts), its latest seat only.
create table orchestrator.decisions (
  session_id text primary key,
  vm_id      text not null,
  decided_at timestamptz not null,
  why        text not null check (octet_length(why) <= 500)
);

create index decisions_by_age on orchestrator.decisions using brin (decided_at) with (autosummarize = on);
