-- Sessions as the session role knows them. Where each has its seat is the orchestrator's to say; these rows follow it.
create table session.sessions (
  session_id        text primary key,
  tenant            text        not null,
  player_id         text,
  game_id           text        not null,
  preset_id         text        not null,
  request           jsonb       not null,
  status            text        not null,
  status_since      timestamptz not null,
  -- Written before the orchestrator is asked, true until its answer is stored too.
  intent            boolean     not null,
  seat              jsonb,
  queue             jsonb,
  end_reason        text,
  end_detail        text,
  owes_withdraw     boolean     not null,
  created_at        timestamptz not null,
  ready_at          timestamptz,
  joined_at         timestamptz,
  ended_at          timestamptz,
  version           integer     not null,
  -- Timers, for the sweeper: when a limit ends it, when to compare it with the orchestrator, when to give its seat back.
  deadline_at       timestamptz,
  check_at          timestamptz,
  withdraw_at       timestamptz,
  withdraw_attempts integer     not null default 0,
  check ((end_reason is null) = (status not in ('ENDED', 'FAILED'))),
  check (owes_withdraw = (withdraw_at is not null))
);

create index sessions_newest on session.sessions (created_at desc, session_id desc);
create index sessions_of_tenant on session.sessions (tenant, created_at desc, session_id desc);
create index sessions_live on session.sessions (status) where ended_at is null;
create index sessions_deadline on session.sessions (deadline_at) where deadline_at is not null;
create index sessions_check on session.sessions (check_at) where check_at is not null;
create index sessions_withdraw on session.sessions (withdraw_at) where withdraw_at is not null;

-- How far the orchestrator's feed was read.
create table session.cursors (
  feed          text primary key,
  last_event_id text not null
);
