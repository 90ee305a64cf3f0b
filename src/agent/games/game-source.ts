// What the agent plays: a source of pictures and sound that takes input. One child process runs one source.
import type { VideoMode } from "../../contracts/catalog.js";
import type { GameInput } from "../../contracts/input.js";
import type { Rumble } from "../../contracts/rumble.js";

/** The sound's form everywhere in the agent: interleaved stereo, signed 16-bit, 48 kHz. */
export const soundFormat = { sampleRate: 48_000, channels: 2 } as const;

export interface GameSource {
  readonly mode: VideoMode;
  /** Applied at the next `draw`. Key and button state is the source's own; `reset` releases everything held. */
  input(event: GameInput): void;
  /**
   * Advance to `nowMs` (monotonic, ms, same origin for all calls) and fill `picture` with the frame to show then:
   * planar I420, BT.709 limited range, rows packed without padding: Y (w·h bytes), U, V (w/2·h/2 each).
   */
  draw(picture: Uint8Array, nowMs: number): void | Promise<void>;
  /** Fill `samples` (interleaved) with the sound that follows what was asked for last. */
  sound(samples: Int16Array): void;
  /** Nobody watches until the next `draw`. For a source whose time is its own; the others stand still by themselves. */
  rest?(): void;
  /** For a source whose game rumbles: whom to tell. Asked once, before the first `draw`. */
  onRumble?(feel: (rumble: Rumble) => void): void;
  /** What the operator should know of how it runs here, in words. */
  readonly notes?: readonly string[];
  /** Resolves when the game ends by itself, with what to tell the player. */
  readonly exited: Promise<string>;
  close(): Promise<void>;
}
