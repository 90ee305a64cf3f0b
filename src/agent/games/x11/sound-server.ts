// The session's own sound server: PulseAudio with one null sink, and `parec` reading that sink's monitor, both in the
// session's sandbox. A game finds it by PULSE_SERVER; what it plays arrives here as the agent's own sound format.
//
// A sound server that stops costs the sound, not the session.
import { once } from "node:events";
import { createConnection } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { soundFormat } from "../game-source.js";
import { ConfinedProcess } from "./confined-process.js";
import { X11GameError } from "./display.js";
import { type Sandbox, sandboxHome } from "./sandbox.js";
import { SoundQueue } from "./sound-queue.js";

const socketName = ".pulse-socket";
const startMsMax = 5_000;
const pollMs = 10;
const limits = { memoryMb: 512, processesMax: 64 } as const;
/** The monitor's pieces: the sink renders in pieces as small as its quickest reader asks for. */
const pieceMs = 10;

const format = [`rate=${soundFormat.sampleRate}`, `channels=${soundFormat.channels}`, "format=s16le"].join(" ");

export class SoundServer {
  /** For the game. */
  static readonly environment = { PULSE_SERVER: `unix:${join(sandboxHome, socketName)}` } as const;
  readonly queue = new SoundQueue();
  readonly #server: ConfinedProcess;
  readonly #recorder: ConfinedProcess;

  private constructor(server: ConfinedProcess, recorder: ConfinedProcess) {
    this.#server = server;
    this.#recorder = recorder;
    let odd: Buffer = Buffer.alloc(0);
    recorder.output.on("data", (chunk: Buffer) => {
      const bytes = odd.length > 0 ? Buffer.concat([odd, chunk]) : chunk;
      const whole = bytes.length - (bytes.length % (soundFormat.channels * Int16Array.BYTES_PER_ELEMENT));
      odd = bytes.subarray(whole);
      this.queue.write(int16(bytes.subarray(0, whole)));
    });
  }

  /** Resolves once games can connect. @throws X11GameError */
  static async start(sandbox: Sandbox): Promise<SoundServer> {
    const socket = join(sandboxHome, socketName);
    const server = new ConfinedProcess(sandbox, {
      command: [
        ...["/usr/bin/pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1", "--use-pid-file=no"],
        ...["--realtime=no", "--high-priority=no", "--log-target=stderr", "--log-level=error"],
        ...["-L", `module-null-sink sink_name=game ${format}`],
        ...["-L", `module-native-protocol-unix auth-anonymous=1 socket=${socket}`],
      ],
      environment: {},
      network: false,
      limits,
    });
    await listening(join(sandbox.home, socketName), server);
    const recorder = new ConfinedProcess(sandbox, {
      command: [
        ...["/usr/bin/parec", "--device=game.monitor", "--raw", "--format=s16le"],
        ...[`--rate=${soundFormat.sampleRate}`, `--channels=${soundFormat.channels}`],
        ...[`--latency-msec=${pieceMs}`, `--process-time-msec=${pieceMs / 2}`],
      ],
      environment: SoundServer.environment,
      network: false,
      limits,
    });
    return new SoundServer(server, recorder);
  }

  async end(): Promise<void> {
    await Promise.all([this.#recorder.end(), this.#server.end()]);
  }
}

async function listening(socketPath: string, server: ConfinedProcess): Promise<void> {
  const timeOut = AbortSignal.timeout(startMsMax);
  const stopped = server.exited.then(({ words }) => words);
  while (!timeOut.aborted) {
    const socket = createConnection(socketPath);
    try {
      await once(socket, "connect");
      return;
    } catch {
      const words = await Promise.race([stopped, sleep(pollMs, null)]);
      if (words !== null) throw new X11GameError(`the sound server does not start: ${words}`);
    } finally {
      socket.destroy();
    }
  }
  throw new X11GameError(`the sound server does not answer within ${startMsMax / 1000} s`);
}

/** The same bytes as samples; copied where they do not stand on an even address. */
function int16(bytes: Buffer): Int16Array {
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Int16Array(buffer, byteOffset, byteLength / 2);
}
