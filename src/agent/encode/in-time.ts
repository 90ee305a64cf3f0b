// What hangs in a driver cannot be stopped: it is waited for so long, and then left alone.
import { EncoderError } from "./video-encoder.js";

/** @throws EncoderError in these words when it takes longer. */
export async function inTime<T>(doing: Promise<T>, msMax: number, otherwise: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new EncoderError(`${otherwise} ${msMax / 1000} s`)), msMax);
  });
  try {
    return await Promise.race([doing, late]);
  } finally {
    clearTimeout(timer);
  }
}
