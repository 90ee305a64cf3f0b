// The session's own X display: Xvfb in the session's sandbox, reachable by its socket in the room alone.
//
// Its number is drawn at random: libxcb looks for a display among the machine's abstract sockets before it looks in the
// room, and must not find somebody's desktop there. Ours never listens there (`-nolisten local`).
import { once } from "node:events";
import { join } from "node:path";
import type { VideoMode } from "../../../contracts/catalog.js";
import { ConfinedProcess } from "./confined-process.js";
import { displaySockets, type Sandbox } from "./sandbox.js";

/** A helper of the game (its display, its sound) does not start, or has stopped. */
export class X11GameError extends Error {
  override name = "X11GameError";
}

const displayNumbers = { min: 1_000, max: 50_000 } as const;
const limits = { memoryMb: 1_024, processesMax: 64 } as const;

export class Display {
  /** As in the variable DISPLAY. */
  readonly name: string;
  readonly socket: string;
  readonly #server: ConfinedProcess;

  private constructor(number: number, server: ConfinedProcess) {
    this.name = `:${number}`;
    this.socket = join(displaySockets, `X${number}`);
    this.#server = server;
  }

  /** Resolves once clients can connect. @throws X11GameError */
  static async start(sandbox: Sandbox, { width, height }: VideoMode, random: () => number): Promise<Display> {
    const { min, max } = displayNumbers;
    const number = min + Math.floor(random() * (max - min));
    const server = new ConfinedProcess(sandbox, {
      command: [
        ...["/usr/bin/Xvfb", `:${number}`, "-displayfd", "3", "-screen", "0", `${width}x${height}x24`],
        ...["-nolisten", "tcp", "-nolisten", "local", "-ac", "-noreset", "-dpi", "96"],
      ],
      environment: {},
      network: false,
      limits,
    });
    const ready = once(server.report, "data").then(() => null);
    const failed = await Promise.race([ready, server.exited]);
    if (failed !== null) throw new X11GameError(`the display does not start: ${failed.words}`);
    return new Display(number, server);
  }

  /** Resolves, in words, when it has stopped. */
  get exited(): Promise<string> {
    return this.#server.exited.then(({ words }) => `the display stopped: ${words}`);
  }

  end(): Promise<void> {
    return this.#server.end();
  }
}
