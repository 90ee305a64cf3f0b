// The games of this installation: what players see of them, what a session of each needs, and how it streams.
import type { GameNeeds, GameSummary, PointerMode, Preset, PresetId } from "../../contracts/catalog.js";

export interface Game extends GameSummary {
  readonly pointer: PointerMode;
  readonly needs: GameNeeds;
  /** Whether players see it in lists; a game that is not listed can still be asked for by its id. */
  readonly listed: boolean;
  readonly rttMsMax?: number;
  readonly presetOverrides?: Readonly<Partial<Record<PresetId, Partial<Omit<Preset, "presetId">>>>>;
}

export const games: readonly Game[] = [
  {
    gameId: "demo",
    title: "Comet Run",
    tagline: "Two minutes through the belt: gather sparks in chains, dodge or shoot what comes.",
    controls: [
      { input: "keyboard", text: "Arrow keys or WASD to steer, Space to fire" },
      { input: "mouse", text: "Move to steer, click to fire" },
      { input: "gamepad", text: "Left stick to steer, A to fire" },
    ],
    presetId: "default-standard",
    pointer: "relative",
    needs: { vcpus: 1, ramGb: 1, vramGb: 0.5 },
    listed: true,
  },
  {
    gameId: "film",
    title: "Test film",
    tagline: "A looping film without game logic, to measure the stream by.",
    controls: [{ input: "keyboard", text: "Nothing to control" }],
    presetId: "default-standard",
    pointer: "relative",
    needs: { vcpus: 1, ramGb: 1, vramGb: 0.5 },
    listed: false,
  },
];

/** The game a seat is for when the caller names only a VM (the seed's form of assign). */
export const defaultGameId = "demo";

const byId = new Map(games.map((game) => [game.gameId, game]));

export const findGame = (gameId: string): Game | undefined => byId.get(gameId);

export const gameSummary = ({ gameId, title, tagline, controls, presetId }: Game): GameSummary => ({
  gameId,
  title,
  tagline,
  controls,
  presetId,
});
