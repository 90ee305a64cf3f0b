// A real game: any Linux program that draws on an X display, in a sandbox, seen, heard and steered from here.
//
// Guarantees: each session has a display, a sound server and a home of its own, and all of them end with it (room.ts
// says why nothing can be left). A game that crashes is started again once, on the same display; when it crashes again,
// or is quit, the session ends with words for the player. While nobody plays the game is stopped, as a whole.
import type { VideoMode, X11Program } from "../../../contracts/catalog.js";
import type { GameInput } from "../../../contracts/input.js";
import { X11Capture } from "../../capture/x11-capture.js";
import { openUinput, UinputError } from "../../gamepads/uinput.js";
import { inputGroup, machineDevices, VirtualPads } from "../../gamepads/virtual-pads.js";
import type { GameSource } from "../game-source.js";
import { ConfinedProcess } from "./confined-process.js";
import { Display } from "./display.js";
import { furnish, putInHome } from "./home.js";
import type { Sandbox } from "./sandbox.js";
import { SoundServer } from "./sound-server.js";
import { XClient } from "./x-client.js";
import { XInput } from "./x-input.js";

export interface X11GameOptions {
  readonly title: string;
  readonly program: X11Program;
  readonly mode: VideoMode;
  readonly random: () => number;
}

export class X11Game implements GameSource {
  readonly mode: VideoMode;
  readonly exited: Promise<string>;
  readonly #input: XInput;
  readonly #parts: Parts;
  #game: ConfinedProcess;
  #resting = false;
  #closed = false;

  private constructor(options: X11GameOptions, parts: Parts, launch: () => ConfinedProcess) {
    this.mode = options.mode;
    this.#input = new XInput(options.mode, options.program.gamepad);
    this.#parts = parts;
    this.#game = launch();
    const played = this.#played(options.title, launch);
    this.exited = Promise.race([played, parts.display.exited.then((words) => Promise.reject(new Error(words)))]);
    // Whoever asks is told; when nobody did before the end, nobody needs to be.
    this.exited.catch(() => {});
  }

  /**
   * Only in the session's room, which the process leaves when this fails: what was started until then ends with it.
   * @throws X11GameError · CaptureError · XServerError
   */
  static async open(options: X11GameOptions): Promise<X11Game> {
    const { program, mode, random } = options;
    const sandbox = furnish();
    for (const [path, content] of Object.entries(program.files)) putInHome(sandbox, path, sized(content, mode));
    const [display, sound] = await Promise.all([Display.start(sandbox, mode, random), SoundServer.start(sandbox)]);
    const client = await XClient.connect(display.socket);
    const capture = await X11Capture.open(display.name, mode);
    const pads = program.pads === 0 ? null : await padsFor(sandbox, program.pads);
    const seen = pads instanceof VirtualPads ? sightOf(pads) : null;
    const { command, args, environment, folder, network, memoryMb, processesMax } = program;
    const launch = () =>
      new ConfinedProcess(sandbox, {
        command: [command, ...args.map((arg) => sized(arg, mode))],
        environment: { DISPLAY: display.name, ...SoundServer.environment, ...seen?.environment, ...environment },
        folder,
        network,
        ...(seen && { devices: seen.devices }),
        limits: { memoryMb, processesMax },
      });
    return new X11Game(options, { display, sound, client, capture, pads }, launch);
  }

  get notes(): readonly string[] {
    const { pads } = this.#parts;
    return pads instanceof UinputError ? [`gamepads press keys: ${pads.message}`] : [];
  }

  input(event: GameInput): void {
    const { pads } = this.#parts;
    if (pads instanceof VirtualPads) {
      if (event.kind === "reset") pads.release();
      if (event.kind === "gamepad") {
        pads.apply(event);
        return;
      }
    }
    for (const fake of this.#input.apply(event)) this.#parts.client.send(fake);
  }

  async draw(picture: Uint8Array): Promise<void> {
    if (this.#resting) this.#game.signal("SIGCONT");
    this.#resting = false;
    await this.#parts.capture.grab(picture);
  }

  sound(samples: Int16Array): void {
    this.#parts.sound.queue.read(samples);
  }

  rest(): void {
    this.#resting = true;
    this.#game.signal("SIGSTOP");
  }

  async close(): Promise<void> {
    const { display, sound, client, capture, pads } = this.#parts;
    this.#closed = true;
    await this.#game.end();
    await capture.close();
    client.close();
    if (pads instanceof VirtualPads) pads.close();
    await Promise.all([sound.end(), display.end()]);
  }

  /** Plays until the game is quit or has crashed twice; in words. */
  async #played(title: string, launch: () => ConfinedProcess): Promise<string> {
    const first = await this.#game.exited;
    if (this.#closed || first.code === 0) return `${title} was quit.`;
    this.#game = launch();
    const second = await this.#game.exited;
    if (this.#closed || second.code === 0) return `${title} was quit.`;
    return `${title} crashed (${first.words}), was started again, and crashed again (${second.words}).`;
  }
}

/** Gamepads that the sandbox's user may open. */
async function padsFor({ uid }: Sandbox, count: number): Promise<VirtualPads | UinputError> {
  try {
    return await VirtualPads.open(count, { open: openUinput, devices: machineDevices, uid });
  } catch (error) {
    if (error instanceof UinputError) return error;
    throw error;
  }
}

/** What a game needs to find its gamepads. In the sandbox there is no udev to ask: SDL looks through /dev/input itself. */
const sightOf = ({ nodes }: VirtualPads) => ({
  devices: { nodes, group: inputGroup() },
  environment: { SDL_JOYSTICK_DISABLE_UDEV: "1" },
});

interface Parts {
  readonly display: Display;
  readonly sound: SoundServer;
  readonly client: XClient;
  readonly capture: X11Capture;
  /** Null: the game reads none. An error: this machine makes none. */
  readonly pads: VirtualPads | UinputError | null;
}

const sized = (text: string, { width, height }: VideoMode) =>
  text.replaceAll("{width}", String(width)).replaceAll("{height}", String(height));
