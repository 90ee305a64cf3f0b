import { describe, expect, it } from "vitest";
import { OpusEncoder, soundFrameMs, soundFrameSamples } from "./opus-encoder.js";

/** A receiver's reading of a packet of one 20 ms frame (RFC 6716 §3.1, §4.2.3). */
function read(packet: Buffer) {
  const config = packet[0]! >> 3;
  const mode = config < 12 ? "SILK" : config < 16 ? "hybrid" : "CELT";
  // Mid and side each begin with one bit of voice activity and one that says that a copy of the frame before follows.
  const copies = mode !== "CELT" && (packet[1]! & 0b0101_0000) !== 0;
  return { mode, copies };
}

/** Three seconds of noise in bursts, as steps, shots and speech are. */
async function encode(protection: "clean" | "protected") {
  const encoder = await OpusEncoder.open(protection);
  let state = 7;
  const packets: Buffer[] = [];
  for (let piece = 0; piece < 3_000 / soundFrameMs; piece++) {
    const loud = piece % 16 < 8 ? 9_000 : 900;
    for (let i = 0; i < soundFrameSamples; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      encoder.samples.fill((state / 2 ** 32 - 0.5) * loud, 2 * i, 2 * i + 2);
    }
    packets.push(Buffer.from(encoder.encode()));
  }
  encoder.close();
  return { read: packets.map(read), kbps: packets.reduce((sum, { length }) => sum + length, 0) / 375 };
}

describe("the sound", () => {
  it("of a clean path is low-delay, and has nothing to repair with", async () => {
    const { read } = await encode("clean");
    expect(new Set(read.map(({ mode }) => mode))).toEqual(new Set(["CELT"]));
  });

  it("of a lossy path carries the frame before in most packets, for no more bits", async () => {
    const { read, kbps } = await encode("protected");
    expect(new Set(read.map(({ mode }) => mode))).toEqual(new Set(["hybrid"]));
    expect(read.filter(({ copies }) => copies).length).toBeGreaterThan(read.length / 2);
    expect(kbps).toBeLessThanOrEqual(135);
  });
});
