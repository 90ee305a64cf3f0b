// One WebRTC connection to a browser, by libdatachannel: the browser offers, we answer; video and sound go out as RTP
// we packetise ourselves, input comes in on two data channels the browser opens ("input": ordered and reliable,
// "state": unordered, never repeated). Rumble goes back on "input", receipts of frames on "state".
//
// The order of calls is the one that works: remote description, then tracks with the
// browser's own payload types, then the answer. An agent that offers loses a race of DTLS against its fingerprint.
// Every channel and track has an `onClosed`, no `onTrack` is registered, and whoever closes a peer keeps it until
// `close` resolves: otherwise the native library calls into collected objects, or leaks them. node-datachannel aborts
// inside worker threads: main thread of a process only.
import { randomInt } from "node:crypto";
import { Audio, type DataChannel, PeerConnection, type Track, Video } from "node-datachannel";
import { encodeReceipt, type FrameReceipt, receiptBytesMax } from "../../contracts/receipts.js";
import { encodeRumble, type Rumble } from "../../contracts/rumble.js";
import type { IceCandidate } from "../../contracts/signalling.js";
import { type AccessUnit, videoClockRate } from "../encode/video-encoder.js";
import { soundFormat } from "../games/game-source.js";
import type { RateBounds } from "./congestion/bandwidth-estimate.js";
import type { IceServers } from "./ice-servers.js";
import { pacing } from "./pacer.js";
import { PictureSender } from "./picture-sender.js";
import { type Feedback, isRtcp, parseRtcp, roundTripMs } from "./rtcp.js";
import { RtpStream } from "./rtp-stream.js";
import { completeAnswer, icePassword, type OfferedAudio, readOffer, UnusableOfferError } from "./sdp.js";

/** Where media may be sent from; defaults: every interface, any port. */
export interface MediaNetwork {
  readonly bindAddress?: string | undefined;
  readonly portMin?: number | undefined;
  readonly portMax?: number | undefined;
}

export interface PeerEvents {
  candidate(candidate: IceCandidate): void;
  /** Media may flow: called once. */
  connected(): void;
  /** The connection is over, for whatever reason but our own `close`: called at most once. */
  closed(reason: string): void;
  /** A binary message on either data channel. */
  message(bytes: Uint8Array): void;
  /** Anything at all arrived from the browser. */
  heard(): void;
  keyframeWanted(): void;
  /** What the path carries, by now, kbit/s. */
  bandwidth(kbps: number): void;
  /** So much of the sound was lost since the receiver's report before, of one that can repair it from in-band FEC. */
  soundLost(share: number): void;
}

const cname = "hotseat";
const reportMs = 1_000;
const closeMsMax = 500;
const receiptsMax = 8;
/** SCTP packets that fit where our RTP fits. */
const mtu = 1_280;
const opusParameters = "minptime=10;useinbandfec=0;stereo=1;sprop-stereo=1";
const dataChannels = new Set(["input", "state"]);
/** A page opens each once; more are closed, and not kept. */
const channelsMax = 8;

const randomSsrc = () => randomInt(1, 0xffff_fff0);

export class Peer {
  readonly #connection: PeerConnection;
  readonly #events: PeerEvents;
  readonly #channels = new Set<DataChannel>();
  #inputChannel: DataChannel | null = null;
  #stateChannel: DataChannel | null = null;
  /** Those of pictures whose last packets still wait for their turn. */
  readonly #receipts: { readonly receipt: Omit<FrameReceipt, "sendUs">; readonly encodedMs: number }[] = [];
  readonly #receiptMemory = new Uint8Array(receiptBytesMax);
  readonly #iceServers: IceServers;
  readonly #closed: Promise<void>;
  #videoTrack: Track | null = null;
  #soundTrack: Track | null = null;
  #picture: PictureSender | null = null;
  #sound: RtpStream | null = null;
  readonly #bitrate: { readonly startKbps: number; readonly bounds: RateBounds };
  #pacing: NodeJS.Timeout | null = null;
  #reports: NodeJS.Timeout | null = null;
  #ended = false;

  /** `iceServers` are this peer's alone, and closed with it. */
  constructor(
    options: { name: string; iceServers: IceServers; network: MediaNetwork; bitrate: RateBounds; startKbps: number },
    events: PeerEvents,
  ) {
    const { bindAddress, portMin, portMax } = options.network;
    this.#events = events;
    this.#iceServers = options.iceServers;
    this.#bitrate = { startKbps: options.startKbps, bounds: options.bitrate };
    this.#connection = new PeerConnection(options.name, {
      iceServers: options.iceServers.native,
      disableAutoNegotiation: true,
      mtu,
      ...(bindAddress === undefined ? {} : { bindAddress }),
      ...(portMin === undefined ? {} : { portRangeBegin: portMin }),
      ...(portMax === undefined ? {} : { portRangeEnd: portMax }),
    });
    this.#connection.onDataChannel((channel) => this.#adopt(channel));
    this.#connection.onLocalCandidate((candidate, mid) => {
      if (!this.#ended) events.candidate({ candidate: candidate.replace(/^a=/, ""), sdpMid: mid });
    });
    this.#closed = new Promise((resolve) => {
      this.#connection.onStateChange((state) => {
        if (state === "closed") resolve();
        if (state === "closed" || state === "failed") this.#end(`the connection is ${state}`);
      });
    });
  }

  /**
   * Answers the browser's offer; candidates follow by events.
   * @throws UnusableOfferError
   */
  accept(offer: string): string {
    const { video, audio } = readOffer(offer);
    const ssrc = randomSsrc();
    const sources = { ssrc, rtxSsrc: ssrc + 1 };
    try {
      this.#connection.setRemoteDescription(offer, "offer");
    } catch (error) {
      throw new UnusableOfferError("the offer cannot be read", { cause: error });
    }

    const description = new Video(video.mid, "SendOnly");
    description.addH264Codec(video.payloadType, video.fmtp);
    if (video.rtxPayloadType !== null) description.addRTXCodec(video.rtxPayloadType, video.payloadType, videoClockRate);
    description.addSSRC(ssrc, cname, "picture", "video");
    const videoTrack = this.#connection.addTrack(description);
    this.#videoTrack = videoTrack;
    const stream = {
      ssrc,
      payloadType: video.payloadType,
      clockRate: videoClockRate,
      cname,
      extensions: { playoutDelay: video.playoutDelayId, transportSequence: video.transportSequenceId },
      rtx: video.rtxPayloadType === null ? null : { ssrc: sources.rtxSsrc, payloadType: video.rtxPayloadType },
      firstSequence: randomInt(0x1_0000),
      send: (packet: Buffer) => void videoTrack.sendMessageBinary(packet),
    };
    this.#picture = new PictureSender(stream, this.#bitrate.startKbps, this.#bitrate.bounds);
    videoTrack.onOpen(() => this.#open());
    videoTrack.onMessage((packet) => this.#receive(packet, ssrc));
    videoTrack.onClosed(() => this.#end("the video track was closed"));

    // Another msid than the picture's: in one stream Chromium synchronises lips, and delays the picture up to 150 ms.
    if (audio !== null) this.#addSound(audio);

    this.#connection.setLocalDescription("answer");
    const answer = this.#connection.localDescription();
    if (answer === null) throw new Error("libdatachannel made no answer");
    this.#iceServers.mendChecks(icePassword(answer.sdp));
    return completeAnswer(answer.sdp, video, sources);
  }

  addCandidate({ candidate, sdpMid }: IceCandidate): void {
    if (candidate === "" || this.#ended) return;
    this.#connection.addRemoteCandidate(candidate, sdpMid ?? "0");
  }

  get iceConnected(): boolean {
    const state = this.#connection.iceState();
    return state === "connected" || state === "completed";
  }

  /** Whether a frame made now would get through. */
  hasRoom(nowMs: number): boolean {
    return this.#picture?.hasRoom(nowMs) ?? true;
  }

  /** Answers false when the frame was left out (picture-sender.ts). */
  sendPicture(unit: AccessUnit, timestamp: number, nowMs: number): boolean {
    let leftOut = false;
    this.#whileOpen(this.#videoTrack, () => {
      leftOut = this.#picture?.send(unit, timestamp, nowMs) === false;
    });
    if (leftOut) this.#events.keyframeWanted();
    this.#pace();
    return !leftOut;
  }

  /** Of the picture just sent; it follows that picture's last packet. */
  sendReceipt(receipt: Omit<FrameReceipt, "sendUs">, encodedMs: number): void {
    if (this.#receipts.length < receiptsMax) this.#receipts.push({ receipt, encodedMs });
    if (!this.#picture?.waits) this.#sendReceipts();
  }

  sendSound(payload: Buffer, timestamp: number, nowMs: number): void {
    this.#whileOpen(this.#soundTrack, () => this.#sound?.sendPayload(payload, timestamp, nowMs));
  }

  /** On the page's "input" channel, in reverse; dropped while that is not open. */
  sendRumble(rumble: Rumble): void {
    this.#whileOpen(this.#inputChannel, (channel) => channel.sendMessageBinary(encodeRumble(rumble)));
  }

  /** Resolves when the native side is gone; keep the peer until then. */
  async close(): Promise<void> {
    this.#release();
    const tooLong = new Promise<void>((resolve) => setTimeout(resolve, closeMsMax).unref());
    await Promise.race([this.#closed, tooLong]);
  }

  #addSound({ mid, payloadType, inBandFec }: OfferedAudio): void {
    const ssrc = randomSsrc();
    const description = new Audio(mid, "SendOnly");
    description.addOpusCodec(payloadType, opusParameters);
    description.addSSRC(ssrc, cname, "sound", "audio");
    const track = this.#connection.addTrack(description);
    this.#soundTrack = track;
    this.#sound = new RtpStream({
      ssrc,
      payloadType,
      clockRate: soundFormat.sampleRate,
      cname,
      extensions: { playoutDelay: null, transportSequence: null },
      rtx: null,
      sent: null,
      firstSequence: randomInt(0x1_0000),
      send: (packet) => track.sendMessageBinary(packet),
    });
    track.onMessage((packet) => {
      if (this.#ended || !isRtcp(packet)) return;
      this.#events.heard();
      for (const feedback of parseRtcp(packet))
        if (inBandFec && feedback.type === "report" && feedback.ssrc === ssrc)
          this.#events.soundLost(feedback.fractionLost);
    });
    track.onClosed(() => {});
  }

  #open(): void {
    if (this.#ended || this.#reports !== null) return;
    this.#reports = setInterval(() => this.#report(), reportMs);
    this.#events.connected();
  }

  /** A timer only while something waits, which an ordinary frame never leaves behind. */
  #pace(): void {
    if (this.#pacing !== null || !this.#picture?.waits || this.#ended) return;
    this.#pacing = setTimeout(() => {
      this.#pacing = null;
      this.#whileOpen(this.#videoTrack, () => this.#picture?.sendWaiting(performance.now()));
      if (!this.#picture?.waits) this.#sendReceipts();
      this.#pace();
    }, pacing.stepMs);
  }

  /** On the page's "state" channel, in reverse. They are about now: dropped where it is not open or behind. */
  #sendReceipts(): void {
    const nowMs = performance.now();
    for (const { receipt, encodedMs } of this.#receipts.splice(0))
      this.#whileOpen(this.#stateChannel, (channel) => {
        if (channel.bufferedAmount() > 0) return;
        const sendUs = (nowMs - encodedMs) * 1000;
        channel.sendMessageBinary(encodeReceipt({ ...receipt, sendUs }, this.#receiptMemory));
      });
  }

  #report(): void {
    const epochMs = Date.now();
    const nowMs = performance.now();
    this.#whileOpen(this.#videoTrack, () => this.#picture?.sendReport(epochMs, nowMs));
    this.#whileOpen(this.#soundTrack, () => this.#sound?.sendReport(epochMs, nowMs));
  }

  /** It may be closed by its own thread since it was asked, between two packets of a frame too: the rest has nowhere to go. */
  #whileOpen<Way extends Track | DataChannel>(way: Way | null, send: (way: Way) => void): void {
    if (this.#ended || way === null || !way.isOpen()) return;
    try {
      send(way);
    } catch (error) {
      if (way.isOpen()) throw error;
    }
  }

  #adopt(channel: DataChannel): void {
    // Kept until it has closed: the native library calls into it until then.
    this.#channels.add(channel);
    channel.onClosed(() => this.#channels.delete(channel));
    if (!dataChannels.has(channel.getLabel()) || this.#channels.size > channelsMax) {
      channel.close();
      return;
    }
    if (channel.getLabel() === "input") this.#inputChannel = channel;
    else this.#stateChannel = channel;
    channel.onMessage((message) => {
      if (this.#ended) return;
      this.#events.heard();
      this.#events.message(bytesOf(message));
    });
  }

  #receive(packet: Buffer, ssrc: number): void {
    if (this.#ended || !isRtcp(packet)) return;
    this.#events.heard();
    for (const feedback of parseRtcp(packet)) this.#obey(feedback, ssrc);
  }

  #obey(feedback: Feedback, ssrc: number): void {
    const picture = this.#picture;
    if (picture === null) return;
    if (feedback.type === "report" && feedback.ssrc === ssrc) {
      const { lastSenderReport, delaySinceLastSenderReport } = feedback;
      picture.roundTripMs =
        roundTripMs(Date.now(), lastSenderReport, delaySinceLastSenderReport) ?? picture.roundTripMs;
    }
    this.#whileOpen(this.#videoTrack, () => {
      if (picture.obey(feedback, performance.now())) this.#events.keyframeWanted();
    });
    if (feedback.type === "transport") this.#events.bandwidth(picture.kbps);
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.#release();
    this.#events.closed(reason);
  }

  #release(): void {
    if (this.#ended) return;
    this.#ended = true;
    if (this.#reports !== null) clearInterval(this.#reports);
    if (this.#pacing !== null) clearTimeout(this.#pacing);
    for (const channel of this.#channels) channel.close();
    this.#videoTrack?.close();
    this.#soundTrack?.close();
    this.#connection.close();
    this.#iceServers[Symbol.dispose]();
  }
}

function bytesOf(message: string | Buffer | ArrayBuffer): Uint8Array {
  if (typeof message === "string") return Buffer.from(message);
  return message instanceof ArrayBuffer ? new Uint8Array(message) : message;
}
