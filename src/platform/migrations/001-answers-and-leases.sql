-- What every role may need beside its own tables.

-- Answers kept by Idempotency-Key. A row without a status is being answered until `claimed_until`, or was not: then
-- the next call with its key does the work, under the same `effect_id`.
create table platform.answers (
  caller        text        not null,
  operation     text        not null,
  key           text        not null,
  fingerprint   text        not null,
  effect_id     text        not null,
  claim         text        not null,
  claimed_until timestamptz not null,
  status        integer,
  content_type  text,
  body          json,
  created_at    timestamptz not null,
  primary key (caller, operation, key)
);

create index answers_oldest on platform.answers (created_at);

-- Work that one process at a time does, and until when it may.
create table platform.leases (
  name   text        primary key,
  holder text        not null,
  until  timestamptz not null
);
