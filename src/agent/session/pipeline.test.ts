import { describe, expect, it } from "vitest";
import type { VideoMode } from "../../contracts/catalog.js";
import { faultyDriver, slowDriver } from "../encode/faulty-encoder.fixture.js";
import { type AccessUnit, type EncoderDriver, EncoderError } from "../encode/video-encoder.js";
import { x264 } from "../encode/x264.js";
import type { GameSource } from "../games/game-source.js";
import { nalUnits } from "../webrtc/rtp.js";
import { type KnownEncoder, Pipeline, type Running, type Viewer } from "./pipeline.js";

const mode = { width: 320, height: 180, fps: 100 };

/** A game that notes what it is asked for, and breaks when told to. */
class NotingGame implements GameSource {
  readonly mode = mode;
  readonly exited = new Promise<string>(() => {});
  readonly drawnAtMs: number[] = [];
  soundsAsked = 0;
  breaks: "draw" | "sound" | null = null;

  input(): void {}
  draw(picture: Uint8Array, nowMs: number): void {
    if (this.breaks === "draw") throw new Error("the paint is out");
    this.drawnAtMs.push(nowMs);
    picture.fill(this.drawnAtMs.length % 200);
  }
  sound(samples: Int16Array): void {
    if (this.breaks === "sound") throw new Error("the string snapped");
    this.soundsAsked++;
    samples.fill(1_000);
  }
  async close(): Promise<void> {}
}

/** A viewer that keeps what it gets, and tells when it has enough. */
class KeepingViewer implements Viewer {
  readonly pictures: { unit: AccessUnit; timestamp: number }[] = [];
  readonly receipts: Parameters<Viewer["sendReceipt"]>[0][] = [];
  readonly soundTimestamps: number[] = [];
  readonly #waiting = new Set<() => void>();
  room = true;
  /** How many of the next pictures it leaves out. */
  leavesOut = 0;
  asked = 0;

  hasRoom(): boolean {
    this.asked++;
    for (const look of this.#waiting) look();
    return this.room;
  }
  sendPicture(unit: AccessUnit, timestamp: number): boolean {
    this.pictures.push({ unit, timestamp });
    for (const look of this.#waiting) look();
    return this.leavesOut-- <= 0;
  }
  sendReceipt(receipt: Parameters<Viewer["sendReceipt"]>[0]): void {
    this.receipts.push(receipt);
  }
  sendSound(_payload: Buffer, timestamp: number): void {
    this.soundTimestamps.push(timestamp);
  }
  async isAsked(times: number): Promise<void> {
    const until = this.asked + times;
    await new Promise<void>((resolve) => this.#waiting.add(() => this.asked >= until && resolve()));
  }
  async has(pictures: number): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.add(() => this.pictures.length >= pictures && resolve()));
  }
}

/** An access unit's sequence parameter set, which says its size. */
function parameters({ bytes }: AccessUnit): Buffer {
  const { start, end } = nalUnits(bytes).find(({ start }) => (bytes[start]! & 0x1f) === 7)!;
  return bytes.subarray(start, end);
}

const full = { width: 1920, height: 1080, fps: 60 };
const known = (driver: EncoderDriver, sustains: VideoMode = full): KnownEncoder => ({ driver, sustains });

async function opened(encoders: readonly KnownEncoder[] = [known(x264)]) {
  const source = new NotingGame();
  const changes: Running[] = [];
  const failures: unknown[] = [];
  let tellFailed = () => {};
  const failed = new Promise<void>((resolve) => {
    tellFailed = resolve;
  });
  const pipeline = await Pipeline.open({
    source,
    bitrateKbps: 2_000,
    steps: [
      { mode, kbpsMin: 1_500 },
      { mode: { width: 160, height: 90, fps: 50 }, kbpsMin: 1_000 },
    ],
    encoders,
    changed: (running) => changes.push(running),
    wishes: { encoding: { effort: "moderate", vbvFrames: 1 }, threads: 1 },
    failed: (error) => {
      failures.push(error);
      tellFailed();
    },
  });
  return { source, pipeline, failures, failed, changes };
}

describe("the pipeline", () => {
  it("draws nothing before somebody watches; then a keyframe first, and growing timestamps", async () => {
    const { source, pipeline } = await opened();
    expect(source.drawnAtMs).toEqual([]);
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    await viewer.has(10);
    expect(viewer.pictures.map(({ unit }) => unit.keyframe)).toEqual(viewer.pictures.map((_, i) => i === 0));
    const timestamps = viewer.pictures.map(({ timestamp }) => timestamp);
    expect(timestamps).toEqual([...timestamps].sort((a, b) => a - b));
    expect(viewer.soundTimestamps.length).toBeGreaterThan(3);
    expect(viewer.soundTimestamps.every((timestamp) => timestamp % 480 === 0)).toBe(true);
    await pipeline.close();
  });

  it("sends a receipt after each picture: the inputs it is the first to show, and how long each step took", async () => {
    const { pipeline } = await opened();
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    await viewer.has(3);
    pipeline.inputArrived(7, performance.now());
    pipeline.inputArrived(8, performance.now());
    await viewer.has(6);
    pipeline.pause();
    pipeline.playFor(viewer);
    const again = viewer.pictures.length;
    await viewer.has(again + 2);
    await pipeline.close();
    expect(viewer.receipts.length).toBeGreaterThanOrEqual(again + 1);
    for (const [i, receipt] of viewer.receipts.entries()) {
      const { unit, timestamp } = viewer.pictures[i]!;
      expect(receipt).toMatchObject({ rtpTimestamp: timestamp, keyframe: unit.keyframe, bytes: unit.bytes.length });
      expect(receipt).toMatchObject({ fps: mode.fps, bitrateKbps: 2_000 });
      expect(receipt.encodeUs).toBeGreaterThan(100);
      expect(receipt.drawUs).toBeGreaterThanOrEqual(0);
    }
    const shown = viewer.receipts.flatMap(({ inputs }) => inputs);
    expect(shown.map(({ seq }) => seq)).toEqual([7, 8]);
    const waits = shown.map(({ waitUs }) => waitUs);
    expect(waits[0]).toBeGreaterThanOrEqual(waits[1]!);
    expect(waits[1]).toBeGreaterThan(0);
    const { inputs, newestInput } = viewer.receipts.find((receipt) => receipt.inputs.length > 0)!;
    expect([inputs.length, newestInput]).toEqual([2, 8]);
    const before = viewer.receipts.slice(0, again).at(-1)!;
    expect([before.newestInput, viewer.receipts[again]!.newestInput], "another player begins anew").toEqual([8, 0]);
    expect(viewer.receipts[again]!.skipped, "a pause skips nothing").toBeLessThan(3);
  });

  it("stops the game's time while nobody watches", async () => {
    const { source, pipeline } = await opened();
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    await viewer.has(3);
    pipeline.pause();
    // Another game, played meanwhile, is the clock: a picture of it takes 10 ms.
    const other = await opened();
    const meanwhile = new KeepingViewer();
    other.pipeline.playFor(meanwhile);
    await meanwhile.has(10);
    const drawn = source.drawnAtMs.length;
    const { soundsAsked } = source;
    await meanwhile.has(50);
    expect([source.drawnAtMs.length, source.soundsAsked]).toEqual([drawn, soundsAsked]);
    await other.pipeline.close();
    pipeline.playFor(viewer);
    await viewer.has(viewer.pictures.length + 3);
    const gapMs = source.drawnAtMs[drawn]! - source.drawnAtMs[drawn - 1]!;
    expect(gapMs).toBeLessThan(300);
    await pipeline.close();
  });

  it("gives a new viewer a keyframe at once, and the one before nothing more", async () => {
    const { pipeline } = await opened();
    const [first, second] = [new KeepingViewer(), new KeepingViewer()];
    pipeline.playFor(first);
    await first.has(3);
    pipeline.playFor(second);
    const had = first.pictures.length;
    await second.has(3);
    expect(first.pictures).toHaveLength(had);
    expect(second.pictures[0]!.unit.keyframe).toBe(true);
    await pipeline.close();
  });

  it("answers a request for a keyframe, and makes none unasked", async () => {
    const { pipeline } = await opened();
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    await viewer.has(40);
    pipeline.requestKeyframe();
    const asked = viewer.pictures.length;
    await viewer.has(asked + 10);
    const keyframes = viewer.pictures.flatMap(({ unit }, i) => (unit.keyframe ? [i] : []));
    expect(keyframes[0]).toBe(0);
    expect(keyframes).toHaveLength(2);
    expect(keyframes[1]! - asked).toBeLessThanOrEqual(1);
    await pipeline.close();
  });

  it("makes no frame that the path has no room for, and lets the game's time go on", async () => {
    const { source, pipeline } = await opened();
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    await viewer.has(5);
    viewer.room = false;
    await viewer.isAsked(2);
    const drawn = source.drawnAtMs.length;
    await viewer.isAsked(10);
    expect(source.drawnAtMs).toHaveLength(drawn);
    viewer.room = true;
    await viewer.has(viewer.pictures.length + 1);
    expect(source.drawnAtMs[drawn]! - source.drawnAtMs[drawn - 1]!).toBeGreaterThan(90);
    const told = viewer.receipts.filter(({ heldBack }) => heldBack > 0);
    expect(told.map(({ heldBack }) => heldBack >= 10)).toEqual([true]);
    await pipeline.close();
  });

  it("counts a frame that was made and then left out, in the next one's receipt", async () => {
    const { pipeline } = await opened();
    const viewer = new KeepingViewer();
    viewer.leavesOut = 2;
    pipeline.playFor(viewer);
    await viewer.has(6);
    await pipeline.close();
    expect(viewer.receipts.slice(0, 5).map(({ heldBack }) => heldBack)).toEqual([0, 1, 1, 0, 0]);
  });

  it("says what the path carried when the picture became smaller, not what it carries by now", async () => {
    const { pipeline, changes } = await opened();
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    while (changes.length === 0) {
      pipeline.setBitrate(1_200);
      await viewer.has(viewer.pictures.length + 1);
    }
    pipeline.setBitrate(9_900);
    expect([changes[0]!.why, pipeline.running.why]).toEqual(Array(2).fill("the network carries 1.2 Mbit/s"));
    await pipeline.close();
  });

  it("makes the picture smaller once the path has carried too little for a while, beginning with a keyframe", async () => {
    const { pipeline } = await opened();
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    await viewer.has(5);
    const keyframes = () => viewer.pictures.filter(({ unit }) => unit.keyframe);
    for (let pictures = viewer.pictures.length; keyframes().length < 2; ) {
      pipeline.setBitrate(1_200);
      await viewer.has(++pictures);
    }
    const [whole, small] = keyframes().map(({ unit }) => parameters(unit));
    expect(small).not.toEqual(whole);
    const from = viewer.pictures.length;
    await viewer.has(from + 10);
    // On the whole: the picture after a late one comes sooner, back on the grid.
    const [first, last] = [viewer.pictures[from]!, viewer.pictures[from + 9]!];
    expect((last.timestamp - first.timestamp) / 9).toBeGreaterThan(90_000 / 100);
    await pipeline.close();
  });

  it("goes on with the next encoder when one breaks, with a keyframe, and says which and why", async () => {
    const broken = faultyDriver("h264_broken", { at: 5, how: "throws" });
    const { pipeline, changes, failures } = await opened([known(broken), known(x264)]);
    expect(pipeline.running).toEqual({ mode, encoder: "h264_broken", why: null });
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    await viewer.has(20);
    expect(viewer.pictures.slice(0, 20).flatMap(({ unit }, i) => (unit.keyframe ? [i] : []))).toEqual([0, 5]);
    expect(changes).toEqual([{ mode, encoder: "libx264", why: "h264_broken failed (the device was lost)" }]);
    expect(failures).toEqual([]);
    await pipeline.close();
  });

  it("runs at what the next encoder sustains when that is less", async () => {
    const broken = faultyDriver("h264_broken", { at: 5, how: "throws" });
    const { pipeline, changes } = await opened([known(broken), known(x264, { width: 160, height: 90, fps: 60 })]);
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    await viewer.has(20);
    expect(changes.at(-1)).toEqual({
      mode: { width: 160, height: 90, fps: 50 },
      encoder: "libx264",
      why: "h264_broken failed (the device was lost); libx264 sustains no more on this machine",
    });
    await pipeline.close();
  });

  it("fails when the last encoder does", async () => {
    const both = ["one", "two"].map((name) => known(faultyDriver(name, { at: 3, how: "throws" })));
    const { pipeline, failures, failed } = await opened(both);
    pipeline.playFor(new KeepingViewer());
    await failed;
    expect(failures).toEqual([new EncoderError("the device was lost")]);
    await pipeline.close();
  });

  it("steps down when frames take longer than they have, and says what they take", async () => {
    const { pipeline, changes } = await opened([known(slowDriver("slow", () => 13))]);
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    while (changes.length === 0) await viewer.has(viewer.pictures.length + 1);
    expect(changes[0]).toMatchObject({ mode: { width: 160, height: 90, fps: 50 }, encoder: "slow" });
    expect(changes[0]!.why).toMatch(/^this machine's encoder takes \d\d ms a frame of 10\.0$/);
    await pipeline.close();
  });

  it.each(["draw", "sound"] as const)("says once when %s breaks, and stops", async (what) => {
    const { source, pipeline, failures, failed } = await opened();
    const viewer = new KeepingViewer();
    pipeline.playFor(viewer);
    await viewer.has(2);
    source.breaks = what;
    await failed;
    pipeline.playFor(viewer);
    await pipeline.close();
    expect(failures).toHaveLength(1);
  });
});
