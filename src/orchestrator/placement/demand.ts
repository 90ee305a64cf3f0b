// What a placement request asks for, in full: the game's preset and needs, and the regions to look in, in order.
import {
  bitrateKbpsLeast,
  type GameNeeds,
  type Preset,
  type RegionId,
  type TemplateId,
} from "../../contracts/catalog.js";
import type { PlacementRequest, SeatSpec, SessionClient } from "../../contracts/orchestrator.js";
import { Problem } from "../../contracts/problems.js";
import { findGame, type Game } from "../catalog/games.js";
import { cappedMode, effectivePreset } from "../catalog/presets.js";
import { regionIds, regionRttMs } from "../catalog/regions.js";
import { templatesThatFit } from "../catalog/templates.js";

export type FallbackChains = Readonly<Record<RegionId, readonly RegionId[]>>;

export interface Demand {
  readonly game: Pick<Game, "gameId" | "title" | "pointer" | "program">;
  readonly preset: Preset;
  readonly needs: GameNeeds;
  readonly client: SessionClient;
  readonly policy: "soonest" | "nearest";
  /** Nearest first, never empty. */
  readonly regions: readonly RegionId[];
  /** Templates that carry it, cheapest first, never empty. */
  readonly templates: readonly TemplateId[];
}

const defaultRegion: RegionId = "us-east-1";
const defaultRttMsMax = 150;

/** @throws Problem invalid-request naming the field that can never be satisfied. */
export function demandOf(request: PlacementRequest, chains: FallbackChains): Demand {
  const game = findGame(request.gameId);
  if (game === undefined) throw wrong("gameId", `There is no game ${request.gameId}.`);
  const preset = effectivePreset(game, request.presetId);
  const fitting = templatesThatFit(game.needs, preset);
  if (fitting.length === 0) throw wrong("presetId", `No template carries ${game.gameId} at ${preset.presetId}.`);
  const { client, policy = "soonest" } = request;
  const regions = regionOrder(request, chains, game.rttMsMax);
  const { gameId, title, pointer, program, needs } = game;
  return { game: { gameId, title, pointer, program }, preset, needs, client, policy, regions, templates: fitting };
}

/**
 * The fallback chain of the region asked for, or the player's own latencies, nearest first; cut at the round trip the
 * request (or game) allows. By the default limit alone nobody is turned away: the nearest region then always stays.
 */
export function regionOrder(
  request: Pick<PlacementRequest, "region" | "latencies" | "rttMsMax">,
  chains: FallbackChains,
  gameRttMsMax?: number,
): RegionId[] {
  const { region, latencies } = request;
  const measured = regionIds.filter((id) => latencies?.[id] !== undefined);
  const from = region ?? defaultRegion;
  const rttMs = (id: RegionId) => latencies?.[id] ?? regionRttMs(from, id);
  const order =
    measured.length > 0
      ? [...(region === undefined ? [] : [region]), ...measured.sort((a, b) => rttMs(a) - rttMs(b))]
      : [from, ...chains[from]];
  const rttMsMax = request.rttMsMax ?? gameRttMsMax ?? defaultRttMsMax;
  const near = [...new Set(order)].filter((id) => rttMs(id) <= rttMsMax);
  if (near.length > 0) return near;
  if (request.rttMsMax === undefined) return [order[0]!];
  throw wrong("rttMsMax", `No region is that near: the nearest, ${order[0]}, is ${rttMs(order[0]!)} ms away.`);
}

/** What the VM's agent is told to run. */
export function seatSpecOf(
  sessionId: string,
  { game, preset }: Demand,
  { cap, idleMs }: Pick<PlacementRequest, "cap"> & Pick<SeatSpec, "idleMs">,
): SeatSpec {
  const mode = cappedMode(preset, cap);
  return {
    sessionId,
    gameId: game.gameId,
    title: game.title,
    pointer: game.pointer,
    program: game.program,
    presetId: preset.presetId,
    mode,
    // The preset's is for the preset's picture: a small one would be held to be too little for a path that carries it.
    bitrateKbpsMin: bitrateKbpsLeast(mode, { ...preset, mode: preset }),
    bitrateKbpsMax: preset.bitrateKbpsMax,
    encoding: preset.encoding,
    idleMs,
  };
}

const wrong = (field: string, message: string) =>
  new Problem("invalid-request", message, { errors: [{ field, message }] });
