-- Whose VM it is: the tenant whose request, or whose operator's key, had it made; null: the warm pool. VMs that were
-- there before count for nobody.
alter table orchestrator.vms add column tenant text;
