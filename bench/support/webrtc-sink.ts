// A WebRTC receiver that does not decode: it offers as a browser does, takes the stream, answers with receiver reports
// and transport-wide feedback, and remembers when each frame came. In a process of its own, forked from the bench that
// uses it: node-datachannel's threads are not to be counted with anybody else's, and CPU for decoding is left to others.
//
// Its feedback comes every 60 ms, as Chromium's does (17 a second, measured). It asks for nothing again: what is lost
// on loopback is counted, and a bench that sees any should say so.
import { type ChildProcess, fork } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { Audio, cleanup, PeerConnection, type Track, Video } from "node-datachannel";
import { isRtcp } from "../../src/agent/webrtc/rtcp.js";
import { extensionUris } from "../../src/agent/webrtc/sdp.js";
import type { IceCandidate } from "../../src/contracts/signalling.js";
import { type Arrival, buildReceiverReport, buildTransportFeedback } from "./receiver-rtcp.js";

/** The argument by which a bench's file is run as a sink. */
export const sinkMode = "--sink";

const payloadType = 102;
const rtxPayloadType = 103;
const opusPayloadType = 111;
const transportSequenceId = 3;
const playoutDelayId = 5;
const clockRate = 90_000;
const ssrc = 1;
const feedbackMs = 60;
const reportMs = 1_000;
const senderReport = 200;

export interface SinkFrame {
  /** The frame's moment in the sender's clock, ms since the first frame: its RTP timestamp. */
  readonly atMs: number;
  /** When its last packet came, in the sink's clock. */
  readonly cameMs: number;
}

type Signal = { type: "offer"; sdp: string } | { type: "candidate"; candidate: IceCandidate };
type ToSink =
  | { type: "answer"; sdp: string }
  | { type: "candidate"; candidate: IceCandidate }
  | { type: "take" }
  | { type: "close" };
/** What came since it was asked last; `lost` of all. */
export interface Received {
  readonly frames: readonly SinkFrame[];
  readonly packets: number;
  readonly bytes: number;
  readonly lost: number;
}
type FromSink = Signal | ({ type: "frames" } & Received);

/** The sink as its bench sees it. Events: `signal`, what is to be told to the agent. */
export class WebRtcSink extends EventEmitter<{ signal: [Signal]; received: [Received] }> {
  readonly #child: ChildProcess;
  readonly #said: Signal[] = [];
  /** Its process has ended: nothing more will come. */
  readonly #gone = new AbortController();

  constructor() {
    super();
    this.#child = fork(process.argv[1]!, [sinkMode], { serialization: "advanced" });
    this.#child.on("exit", () => this.#gone.abort(new Error("the sink's process ended")));
    this.#child.on("message", (message: FromSink) => {
      if (message.type === "frames") this.emit("received", message);
      else if (!this.emit("signal", message)) this.#said.push(message);
    });
  }

  /** Tells the agent what the sink has to say: at once what it said already. */
  carry(tell: (signal: Signal) => void): void {
    for (const signal of this.#said.splice(0)) tell(signal);
    this.on("signal", tell);
  }

  /** What the agent answers. */
  receive(message: ToSink & { type: "answer" | "candidate" }): void {
    this.#child.send(message);
  }

  async received(): Promise<Received> {
    const answer = once(this, "received", { signal: this.#gone.signal });
    this.#child.send({ type: "take" } satisfies ToSink);
    const [received] = await answer;
    return received as Received;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const exited = once(this.#child, "exit");
    if (this.#child.connected) this.#child.send({ type: "close" } satisfies ToSink);
    await exited;
  }
}

/** The sink's own process; resolves when it was told to close. */
export async function runSink(): Promise<void> {
  const tell = (message: FromSink) => process.connected && process.send?.(message);
  const connection = new PeerConnection("sink", { iceServers: [], disableAutoNegotiation: true });
  for (const channel of [
    connection.createDataChannel("input"),
    connection.createDataChannel("state", { unordered: true, maxRetransmits: 0 }),
  ]) {
    channel.onClosed(() => {});
    // Receipts, which a page would read: nobody's queue may fill up with them.
    channel.onMessage(() => {});
  }
  const video = new Video("video", "RecvOnly");
  video.addH264Codec(payloadType, "profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1");
  video.addRTXCodec(rtxPayloadType, payloadType, clockRate);
  const audio = new Audio("audio", "RecvOnly");
  audio.addOpusCodec(opusPayloadType);
  const tracks = [connection.addTrack(video), connection.addTrack(audio)] as const;
  const stream = new ReceivedStream(tracks[0]);
  tracks[0].onMessage((packet) => stream.receive(packet, performance.now()));
  tracks[1].onMessage(() => {});
  for (const track of tracks) track.onClosed(() => {});

  connection.onLocalCandidate((candidate, mid) =>
    tell({ type: "candidate", candidate: { candidate: candidate.replace(/^a=/, ""), sdpMid: mid } }),
  );
  connection.setLocalDescription("offer");
  tell({ type: "offer", sdp: withExtensions(connection.localDescription()!.sdp) });

  const timers = [
    setInterval(() => stream.sendFeedback(), feedbackMs),
    setInterval(() => stream.sendReport(performance.now()), reportMs),
  ];
  await new Promise<void>((resolve) => {
    process.on("disconnect", resolve);
    process.on("message", (message: ToSink) => {
      if (message.type === "answer") connection.setRemoteDescription(message.sdp, "answer");
      else if (message.type === "candidate")
        connection.addRemoteCandidate(message.candidate.candidate, message.candidate.sdpMid ?? "video");
      else if (message.type === "take") tell({ type: "frames", ...stream.take() });
      else resolve();
    });
  });
  for (const timer of timers) clearInterval(timer);
  connection.close();
  cleanup();
}

/** libdatachannel describes no header extensions, but hands on what arrives with them. */
function withExtensions(sdp: string): string {
  const extensions = [
    `a=extmap:${transportSequenceId} ${extensionUris.transportSequence}`,
    `a=extmap:${playoutDelayId} ${extensionUris.playoutDelay}`,
    `a=rtcp-fb:${payloadType} transport-cc`,
  ].join("\r\n");
  return sdp.replace("a=mid:video\r\n", `a=mid:video\r\n${extensions}\r\n`);
}

class ReceivedStream {
  #taken: { frames: SinkFrame[]; packets: number; bytes: number } = { frames: [], packets: 0, bytes: 0 };
  #arrivals: Arrival[] = [];
  #firstTimestamp: number | null = null;
  #mediaSsrc = 0;
  #feedbackCount = 0;
  #packets = 0;
  #firstSequence = 0;
  /** Sequence numbers beyond 16 bits, so that they can be counted. */
  #highestSequence = -1;
  #lastReport: { ntpMiddle: number; atMs: number } | null = null;

  constructor(private readonly track: Track) {}

  receive(packet: Buffer, nowMs: number): void {
    if (isRtcp(packet)) {
      if (packet[1] === senderReport && packet.length >= 28)
        this.#lastReport = { ntpMiddle: packet.readUInt32BE(10), atMs: nowMs };
      return;
    }
    if ((packet[1]! & 0x7f) !== payloadType) return;
    this.#mediaSsrc = packet.readUInt32BE(8);
    this.#taken.packets++;
    this.#taken.bytes += packet.length;
    this.#count(packet.readUInt16BE(2));
    const transportSequence = transportSequenceOf(packet);
    if (transportSequence !== null) this.#arrivals.push({ transportSequence, atMs: nowMs });
    if ((packet[1]! & 0x80) === 0) return;
    const timestamp = packet.readUInt32BE(4);
    this.#firstTimestamp ??= timestamp;
    this.#taken.frames.push({ atMs: ((timestamp - this.#firstTimestamp) >>> 0) / (clockRate / 1000), cameMs: nowMs });
  }

  take(): Received {
    const { frames, packets, bytes } = this.#taken;
    this.#taken = { frames: [], packets: 0, bytes: 0 };
    return { frames, packets, bytes, lost: this.#lost };
  }

  sendFeedback(): void {
    if (this.#arrivals.length === 0 || !this.track.isOpen()) return;
    const arrivals = inOrder(this.#arrivals);
    this.#arrivals = [];
    const feedback = { ssrc, mediaSsrc: this.#mediaSsrc, count: this.#feedbackCount++ };
    this.track.sendMessageBinary(buildTransportFeedback(arrivals, feedback));
  }

  sendReport(nowMs: number): void {
    if (this.#packets === 0 || !this.track.isOpen()) return;
    const last = this.#lastReport;
    this.track.sendMessageBinary(
      buildReceiverReport({
        ssrc,
        mediaSsrc: this.#mediaSsrc,
        packetsLost: this.#lost,
        highestSequence: this.#highestSequence,
        lastReport: last === null ? null : { ntpMiddle: last.ntpMiddle, agoMs: nowMs - last.atMs },
      }),
    );
  }

  get #lost(): number {
    return this.#packets === 0 ? 0 : Math.max(0, this.#highestSequence - this.#firstSequence + 1 - this.#packets);
  }

  #count(sequence: number): void {
    this.#packets++;
    if (this.#highestSequence < 0) this.#firstSequence = this.#highestSequence = sequence;
    const step = ((sequence - this.#highestSequence) << 16) >> 16;
    this.#highestSequence = Math.max(this.#highestSequence, this.#highestSequence + step);
  }
}

/** By their numbers, which are of 16 bits. */
function inOrder(arrivals: readonly Arrival[]): Arrival[] {
  const after = ({ transportSequence }: Arrival) => ((transportSequence - arrivals[0]!.transportSequence) << 16) >> 16;
  return arrivals.toSorted((a, b) => after(a) - after(b));
}

/** RFC 8285 §4.2, one-byte form. */
function transportSequenceOf(packet: Buffer): number | null {
  if ((packet[0]! & 0x10) === 0 || packet.readUInt16BE(12) !== 0xbede) return null;
  const end = 16 + 4 * packet.readUInt16BE(14);
  for (let at = 16; at < end; ) {
    const element = packet[at]!;
    if (element === 0) {
      at++;
      continue;
    }
    if (element >> 4 === transportSequenceId) return packet.readUInt16BE(at + 1);
    at += 2 + (element & 0x0f);
  }
  return null;
}
