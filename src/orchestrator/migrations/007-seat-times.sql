-- The game, at hand for how long its sessions last.
alter table orchestrator.placements
  add column game_id text generated always as (demand->'game'->>'gameId') stored;
