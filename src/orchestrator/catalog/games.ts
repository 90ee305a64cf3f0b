// The games of this installation: what players see of them, what a session of each needs, and how it streams.
import {
  type GameNeeds,
  type GameProgram,
  type GameSummary,
  type PointerMode,
  type Preset,
  type PresetId,
  type X11Program,
  x11Program,
} from "../../contracts/catalog.js";
import type { Vm } from "../../contracts/orchestrator.js";

export interface Game extends Omit<GameSummary, "unavailable"> {
  readonly pointer: PointerMode;
  readonly needs: GameNeeds;
  /** What to run; none: the game is one of the agent's own. */
  readonly program?: X11Program;
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
    touch: { directions: true, buttons: [{ label: "Fire", key: "Space" }] },
    pointer: "relative",
    needs: { vcpus: 1, ramGb: 1, vramGb: 0.5 },
    listed: true,
  },
  {
    gameId: "chromium-bsu",
    title: "Chromium B.S.U.",
    tagline: "A fast top-scrolling shooter: let no enemy past you, and spare your ammunition.",
    controls: [
      { input: "keyboard", text: "Arrow keys to fly and to choose, Space to fire, Enter to begin" },
      { input: "mouse", text: "Move to fly, click to fire" },
      { input: "gamepad", text: "Left stick to fly, A to fire, Start to begin" },
    ],
    presetId: "default-standard",
    touch: {
      directions: true,
      buttons: [
        { label: "Fire", key: "Space" },
        { label: "Start", key: "Enter" },
      ],
    },
    pointer: "relative",
    needs: { vcpus: 1, ramGb: 1, vramGb: 0.5 },
    program: x11Program.parse({
      command: "/usr/games/chromium-bsu",
      install: "apt-get install chromium-bsu",
      args: ["--window"],
      files: { ".chromium-bsu": "full_screen 0\nscreenWidth {width}\nscreenHeight {height}\nshow_fps 0\n" },
      gamepad: {
        up: "ArrowUp",
        down: "ArrowDown",
        left: "ArrowLeft",
        right: "ArrowRight",
        a: "Space",
        b: "Space",
        start: "Enter",
        back: "Escape",
      },
    }),
    listed: true,
  },
  {
    gameId: "neverball",
    title: "Neverball",
    tagline: "Tilt the floor to roll the ball: collect the coins and reach the goal before time runs out.",
    controls: [
      { input: "mouse", text: "Move to tilt the floor, click to choose" },
      { input: "keyboard", text: "Arrow keys to tilt the floor and to choose, Enter to confirm" },
      { input: "gamepad", text: "Left stick to tilt the floor, A to confirm" },
    ],
    presetId: "default-standard",
    touch: {
      directions: true,
      buttons: [
        { label: "OK", key: "Enter" },
        { label: "Back", key: "Escape" },
      ],
    },
    pointer: "relative",
    needs: { vcpus: 1, ramGb: 1, vramGb: 0.5 },
    program: x11Program.parse({
      command: "/usr/games/neverball",
      install: "apt-get install neverball",
      files: { ".neverball/neverballrc": "fullscreen 0\nwidth {width}\nheight {height}\n" },
      gamepad: {
        up: "ArrowUp",
        down: "ArrowDown",
        left: "ArrowLeft",
        right: "ArrowRight",
        a: "Enter",
        b: "Escape",
        start: "Escape",
      },
    }),
    listed: true,
  },
  {
    gameId: "film",
    title: "Test film",
    tagline: "A looping film without game logic, to measure the stream by.",
    controls: [{ input: "keyboard", text: "Nothing to control" }],
    presetId: "default-standard",
    touch: null,
    pointer: "relative",
    needs: { vcpus: 1, ramGb: 1, vramGb: 0.5 },
    listed: false,
  },
];

/** The games that are programs: what an agent looks for on its machine. */
export const programs = (): GameProgram[] =>
  games.flatMap(({ gameId, program }) => (program === undefined ? [] : [{ gameId, program }]));

/** The game a seat is for when the caller names only a VM (the seed's form of assign). */
export const defaultGameId = "demo";

const byId = new Map(games.map((game) => [game.gameId, game]));

export const findGame = (gameId: string): Game | undefined => byId.get(gameId);

export const gameSummary = (
  { gameId, title, tagline, controls, presetId, touch }: Game,
  machines: readonly Machine[],
): GameSummary => ({
  gameId,
  title,
  tagline,
  controls,
  presetId,
  touch,
  unavailable: whyUnavailable(gameId, machines),
});

/** A machine that runs, as far as an agent has described it. */
type Machine = Pick<Vm, "capabilities">;

/**
 * Why the game cannot be played now: every machine that could be asked lacks it. Null also where none could be asked:
 * nobody is turned away before a machine has been looked at.
 */
export function whyUnavailable(gameId: string, machines: readonly Machine[]): string | null {
  const described = machines.flatMap(({ capabilities }) => capabilities ?? []);
  const reasons = described.map(({ missing }) => missing?.[gameId]);
  return reasons.includes(undefined) ? null : (reasons[0] ?? null);
}
