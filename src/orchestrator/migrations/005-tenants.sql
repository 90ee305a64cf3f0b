-- Whose VM it is: the tenant whose request, or whose operator's key, had it made; null: the warm pool. VMs that were
-- there before count for nobody.
alter table orchestrator.vms add column tenant text;
create index vms_of_tenant on orchestrator.vms (tenant)
 where tenant is not null and status not in ('TEMPLATE', 'TERMINATED');
