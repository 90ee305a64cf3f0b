// What FFmpeg says beside its error codes: "Operation not permitted" is the code of a missing driver, "Cannot load
// libcuda.so.1" is what an operator can act on. Its log is one for the process, so listeners hear of each other.
import { setImmediate } from "node:timers/promises";
import { AV_LOG_ERROR } from "node-av/constants";
import { Log } from "node-av/lib";

const wordsMax = 5;
const charsMax = 300;

const listeners = new Set<string[]>();
let listening = false;

/** Otherwise encoders write to stderr, statistics too. */
function listen(): void {
  if (listening) return;
  listening = true;
  Log.setLevel(AV_LOG_ERROR);
  Log.setCallback(
    (_level, message) => {
      for (const words of listeners) if (words.length < wordsMax) words.push(message.trim());
    },
    { maxLevel: AV_LOG_ERROR },
  );
}

/** Listens to FFmpeg's errors from now on. */
export function libavWords(): { heard(): Promise<string>; stop(): void } {
  listen();
  const words: string[] = [];
  listeners.add(words);
  return {
    heard: async () => {
      // They come over from FFmpeg's threads with the next turn of the event loop.
      await setImmediate();
      return [...new Set(words)].join("; ").slice(0, charsMax);
    },
    stop: () => {
      listeners.delete(words);
    },
  };
}
