// Real games as the control plane meets them: which the machine has, how one ends, and what a killed process leaves.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { chown } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type GameProgram, x11Program } from "../../src/contracts/catalog.js";
import type { SeatSpec } from "../../src/contracts/orchestrator.js";
import { programs } from "../../src/orchestrator/catalog/games.js";
import { commandLine, listProcesses } from "../../src/platform/process-identity.js";
import { until } from "../support/hotseat.js";
import { asUser, gone, withoutProgram } from "../support/x11-room.js";
import { ControlPlane } from "./agent-control-plane.js";

const program = join(import.meta.dirname, "run-agent.mjs");
const nobody = 65_534;

let controlPlane: ControlPlane;
let agent: ChildProcess | null;

beforeEach(async () => {
  controlPlane = await ControlPlane.start();
  agent = null;
});

afterEach(async () => {
  if (agent !== null && agent.exitCode === null && agent.signalCode === null) {
    agent.kill("SIGKILL");
    await once(agent, "exit");
  }
  await controlPlane.remove();
});

/** An agent that is ready for sessions, on a machine that offers these games; `under` runs it. */
async function startAgent(offered: readonly GameProgram[], under: readonly string[] = []): Promise<void> {
  controlPlane.programs = [...offered];
  const [command = "", ...args] = [...under, process.execPath, program, controlPlane.configPath];
  agent = spawn(command, args, { stdio: "ignore" });
  const early = once(agent, "exit").then(([code, signal]) => {
    throw new Error(`the agent ended with ${code ?? signal}`);
  });
  await Promise.race([controlPlane.until(() => controlPlane.heartbeats > 0 && controlPlane.links > 0), early]);
}

const seat = (gameId: string, game?: SeatSpec["program"]): SeatSpec => ({
  sessionId: "session-1",
  gameId,
  presetId: "default-standard",
  mode: { width: 640, height: 360, fps: 30 },
  title: "The game",
  pointer: "relative",
  bitrateKbpsMin: 1_000,
  bitrateKbpsMax: 2_000,
  encoding: { effort: "moderate", vbvFrames: 1 },
  idleMs: 600_000,
  ...(game && { program: game }),
});

/** The seat's session, once a player could be joined to it. */
async function runs(spec: SeatSpec): Promise<void> {
  controlPlane.seats.push(spec);
  const { answer } = await controlPlane.join(spec.sessionId, { jti: randomUUID() });
  if (answer.type !== "joined") throw new Error(`refused: ${answer.detail}`);
}

const whatBecame = (state: string) =>
  controlPlane.hear((said) => (said.type === "session" && said.state === state ? said : undefined));

/** The agent's descendants. */
function descendants(): { pid: number; command: string }[] {
  const all = listProcesses();
  const under = (pid: number): number[] =>
    all.filter(({ parent }) => parent === pid).flatMap((child) => [child.pid, ...under(child.pid)]);
  return under(agent!.pid!).map((pid) => ({ pid, command: commandLine(pid) ?? "" }));
}

/** The pids of its descendants that run one of these programs, whatever wraps them. */
const programsOf = (...names: string[]) =>
  descendants().flatMap(({ pid, command }) => (names.includes(basename(command.split(" ")[0]!)) ? [pid] : []));

const bsu = programs().find(({ gameId }) => gameId === "chromium-bsu")!;
const script = (text: string) => x11Program.parse({ command: "/bin/sh", args: ["-c", text] });

describe("what a machine can run", () => {
  it("is found by looking, and what it lacks is said", async () => {
    const absent = { gameId: "quest", program: x11Program.parse({ command: "/opt/quest", install: "get the Quest" }) };
    await startAgent([...programs(), absent]);
    expect(controlPlane.capabilities?.missing).toEqual({ quest: "/opt/quest is not there: get the Quest" });
  });

  it("is nothing real without bubblewrap or a display: it says what to install, and plays its own game", async () => {
    await startAgent([bsu], withoutProgram("/usr/bin/bwrap"));
    expect(controlPlane.capabilities?.missing).toEqual({
      "chromium-bsu": "bubblewrap is not installed: apt-get install bubblewrap",
    });
    await runs(seat("demo"));
  });

  it("names the package of each tool it needs", async () => {
    await startAgent([bsu], withoutProgram("/usr/bin/Xvfb"));
    expect(controlPlane.capabilities?.missing?.["chromium-bsu"]).toBe(
      "real games need more here: apt-get install xvfb",
    );
  });
});

describe("a real game", () => {
  it("that crashes is started again once, then ends its session with a word for the player", async () => {
    await startAgent([bsu]);
    controlPlane.seats.push(seat("crash", script("echo no level 7 >&2; exit 7")));
    expect((await whatBecame("game-exited")).detail).toBe(
      "The game crashed (exit code 7: no level 7), was started again, and crashed again (exit code 7: no level 7).",
    );
    await gone(programsOf("Xvfb", "pulseaudio", "parec"));
  });

  it.each([
    ["root, if these tests are", []],
    ["nobody in particular", asUser(nobody)],
  ])("runs under an agent that is %s", async (_who, under) => {
    if (under.length > 0 && process.getuid!() === 0)
      for (const path of [controlPlane.configPath, dirname(controlPlane.configPath)]) await chown(path, nobody, nobody);
    await startAgent([bsu], process.getuid!() === 0 ? under : []);
    expect(controlPlane.capabilities?.missing).toEqual({});
    await runs(seat("chromium-bsu", bsu.program));
    await until("the game runs", () => programsOf("chromium-bsu").length > 0 || undefined);
  });

  it("leaves nothing when the session's process is killed, and the session's end is reported", async () => {
    await startAgent([bsu]);
    await runs(seat("chromium-bsu", bsu.program));
    const games = programsOf("Xvfb", "pulseaudio", "parec", "chromium-bsu");
    expect(games.length).toBeGreaterThan(2);
    const [session] = programsOf("node");
    process.kill(session!, "SIGKILL");
    expect((await whatBecame("stream-failed")).detail).toContain("SIGKILL");
    await gone(games);
  });

  it("leaves nothing when the supervisor is killed", async () => {
    await startAgent([bsu]);
    await runs(seat("chromium-bsu", bsu.program));
    const all = descendants();
    expect(
      all.filter(({ command }) => /Xvfb|pulseaudio|parec|chromium-bsu/.test(command)).length,
    ).toBeGreaterThanOrEqual(4);
    agent!.kill("SIGKILL");
    await gone(all.map(({ pid }) => pid));
  });
});
