// The life of a session's process: prepared, started with a seat, played, ended. What it is told and what it says are
// the words of protocol.ts.
//
// `run` resolves when the process has nothing left to do: told to stop, aborted (a signal, or the channel to the
// supervisor closed), the game over, the stream broken, or a start that failed. Everything it opened is closed then.
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { bitrateKbpsFloor, bitrateKbpsLeast, type Capabilities, type VideoMode } from "../../contracts/catalog.js";
import { readAs } from "../../contracts/read-as.js";
import { fitted } from "../../contracts/text.js";
import { probe } from "../encode/probe.js";
import type { RateStep } from "../encode/rate-steps.js";
import { type EncoderDriver, encoderThreads } from "../encode/video-encoder.js";
import { bitrateKbpsFor, modeFor, sustainedMode } from "../encode/video-mode.js";
import type { GameSource } from "../games/game-source.js";
import type { GameOpener } from "../games/open-game.js";
import { type KnownEncoder, Pipeline, type Running } from "./pipeline.js";
import { type FromChild, type ToChild, toChild } from "./protocol.js";
import { Session } from "./session.js";

export interface SessionProcessOptions {
  readonly games: GameOpener;
  /** Those there are, the first choice first. */
  readonly encoders: readonly EncoderDriver[];
  /** What gives way when the path or the machine carries less than `mode`, which is the first (rate-steps.ts). */
  readonly steps: (mode: VideoMode, kbpsMin: number) => readonly RateStep[];
  readonly cores: number;
  readonly tell: (message: FromChild) => void;
}

/** Closing is given up after this: the process ends anyway. */
const closeMsMax = 700;

const usualEncoding = { effort: "moderate", vbvFrames: 1 } as const;

type Start = ToChild & { type: "start" };

export class SessionProcess {
  readonly #options: SessionProcessOptions;
  readonly #over = new AbortController();
  #session: Session | null = null;
  #source: GameSource | null = null;
  #working: Promise<void> = Promise.resolve();

  constructor(options: SessionProcessOptions) {
    this.#options = options;
  }

  /** Lives until there is nothing left to do, or `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    this.#options.tell({ type: "prepared" });
    const ended = AbortSignal.any([signal, this.#over.signal]);
    if (!ended.aborted) await once(ended, "abort");
    await Promise.race([this.#close(), sleep(closeMsMax, undefined, { ref: false })]);
  }

  /** Acts on what the supervisor says; on what the protocol does not know it does not: that must not cost the session. */
  receive(raw: unknown): void {
    const message = readAs(toChild, raw).data;
    if (message === undefined) return;
    switch (message.type) {
      case "probe":
        this.#work(async () => {
          const { cores, encoders, games, tell } = this.#options;
          const { encoders: only } = message;
          const drivers = only === undefined ? encoders : encoders.filter(({ name }) => only.includes(name));
          const capabilities = { ...(await probe(drivers, cores)), missing: await games.missing(message.programs) };
          tell({ type: "probed", capabilities });
        });
        break;
      case "prepare":
        this.#work(async () => {
          this.#options.games.prepare(message.gameId, message.mode);
          this.#options.tell({ type: "ready" });
        });
        break;
      case "start":
        this.#work(() => this.#start(message));
        break;
      case "connect":
        this.#session?.connect(message.connectionId, message.iceServers);
        break;
      case "ice-servers":
        this.#session?.useIceServers(message.connectionId, message.iceServers);
        break;
      case "offer":
        void this.#session?.offer(message.connectionId, message.sdp, message.number);
        break;
      case "candidate":
        this.#session?.candidate(message.connectionId, message.candidate);
        break;
      case "control":
        this.#session?.control(message.input);
        break;
      case "disconnect":
        this.#session?.disconnect(message.connectionId, message.bye);
        break;
      case "stop":
        this.#over.abort();
        break;
    }
  }

  /** One after another; what fails is told, and ends the process. */
  #work(task: () => Promise<void>): void {
    this.#working = this.#working.then(task).catch((error: unknown) => {
      this.#options.tell({ type: "failed", detail: inWords(error) });
      this.#over.abort();
    });
  }

  async #start({ seat, capabilities, network }: Start): Promise<void> {
    const { games, cores, tell } = this.#options;
    const { mode, why } = modeFor(seat.mode, capabilities.sustains);
    const source = await games.open(seat, mode);
    this.#source = source;
    const bitrateKbps = bitrateKbpsFor(source.mode, seat);
    const failed = (error: unknown) => this.#finish("stream-failed", inWords(error));
    const steps = this.#options.steps(source.mode, bitrateKbpsLeast(source.mode, seat));
    const stream = ({ mode, encoder, why: whyNow }: Running) => ({
      gameId: seat.gameId,
      title: seat.title,
      asked: seat.mode,
      mode,
      encoder,
      why: [why, whyNow].filter((reason) => reason !== null).join("; ") || null,
      pointer: seat.pointer,
    });
    const pipeline = await Pipeline.open({
      source,
      bitrateKbps,
      steps,
      encoders: this.#usable(capabilities),
      wishes: { encoding: seat.encoding ?? usualEncoding, threads: encoderThreads(cores) },
      changed: (running) => tell({ type: "stream", stream: stream(running) }),
      failed,
    });
    this.#session = new Session({
      source,
      pipeline,
      bitrate: { kbpsMin: bitrateKbpsFloor, kbpsMax: bitrateKbps },
      network,
      idleMs: seat.idleMs,
      tell,
    });
    source.exited.then((detail) => this.#finish("game-exited", detail), failed);
    tell({ type: "started", stream: stream(pipeline.running), notes: [...(source.notes ?? [])] });
  }

  /** Those that worked when the machine was measured, each with what it sustains by itself. */
  #usable({ encoders, encoder, pixelsPerSecond }: Capabilities): KnownEncoder[] {
    const findings = encoders ?? [{ name: encoder, works: true, pixelsPerSecond }];
    return this.#options.encoders.flatMap((driver) => {
      const found = findings.find(({ name, works }) => works && name === driver.name);
      if (found === undefined || found.pixelsPerSecond === null) return [];
      const { sustains } = sustainedMode(found.pixelsPerSecond, { encodersAtOnce: 1, runsOn: driver.runsOn });
      return [{ driver, sustains }];
    });
  }

  #finish(state: "game-exited" | "stream-failed", detail: string): void {
    if (this.#over.signal.aborted) return;
    this.#options.tell({ type: "state", state, connectionId: null, detail: fitted(detail, 500) });
    this.#over.abort();
  }

  async #close(): Promise<void> {
    await this.#working;
    await this.#session?.close();
    await this.#source?.close();
  }
}

const inWords = (error: unknown) => (error instanceof Error ? error.message : String(error));
