-- How many live sessions a tenant has, without a look at its ended ones. The same index serves counts by status, so that
-- a session costs as many index entries as before.
drop index session.sessions_live;
create index sessions_live on session.sessions (tenant, status) where ended_at is null;
