// One WebRTC connection to the machine: picture and sound in, two data channels out.
//
// The browser offers, and makes its channels before it does: an agent that offers loses a DTLS race in Chromium
// (notes/media.md, pitfall 1). The offer is made at once, before it may be sent, so that nothing waits for it; our
// candidates are held until then, the other side's until its answer. A connection whose way is gone is never given
// another (the machine's ICE has no restart): it is replaced by a new one.
import { keepalive } from "../contracts/input.js";
import { type IceCandidate, signallingLimits } from "../contracts/signalling.js";
import { type PathRates, rates, type StatsSample, sample } from "./statistics.js";

const connectMsMax = 10_000;
/** ICE often recovers by itself from a short gap; waiting longer costs more than a new connection (~300 ms). */
const disconnectedMsMax = 4_000;
/** A machine that closes its end says so by its channels long before ICE notices; `ended` may come with it. */
const channelClosedMsMax = 1_000;
const keepaliveMs = 1_000;

export type ConnectionFailure = "no-answer" | "network-blocked" | "unsupported";

export interface ConnectionHandlers {
  candidate(candidate: IceCandidate): void;
  track(track: MediaStreamTrack): void;
  /** What the machine says on the input channel. */
  rumble(bytes: Uint8Array): void;
  /** What the machine says on the state channel: receipts of frames. */
  receipt(bytes: Uint8Array): void;
  connected(): void;
  /** No packets for some seconds (`wayLost`), or the machine closed its end; `connected` or `failed` follows. */
  interrupted(wayLost: boolean): void;
  failed(why: ConnectionFailure): void;
}

export class Connection {
  readonly input: RTCDataChannel;
  readonly state: RTCDataChannel;
  /** The machine's, once it has answered. */
  readonly tracks: MediaStreamTrack[] = [];
  readonly madeAtMs = performance.now();
  readonly #peer: RTCPeerConnection;
  readonly #offer: Promise<string>;
  #localHeld: IceCandidate[] | null = [];
  #remoteHeld: IceCandidate[] | null = [];
  #candidatesLeft: number = signallingLimits.candidatesPerConnectionMax;
  #deadline: ReturnType<typeof setTimeout> | undefined;
  #everConnected = false;
  #offerNumber: number | null = null;
  #lastSample: StatsSample | null = null;
  readonly #keepalive: ReturnType<typeof setInterval>;

  constructor(
    ice: { readonly iceServers: RTCIceServer[]; readonly iceTransportPolicy: RTCIceTransportPolicy },
    private readonly handlers: ConnectionHandlers,
  ) {
    this.#peer = new RTCPeerConnection({ ...ice, bundlePolicy: "max-bundle" });
    const video = this.#peer.addTransceiver("video", { direction: "recvonly" });
    preferH264(video);
    this.#peer.addTransceiver("audio", { direction: "recvonly" });
    this.input = this.#peer.createDataChannel("input", { ordered: true });
    this.state = this.#peer.createDataChannel("state", { ordered: false, maxRetransmits: 0 });
    this.input.binaryType = "arraybuffer";
    this.input.onmessage = ({ data }) => data instanceof ArrayBuffer && handlers.rumble(new Uint8Array(data));
    this.state.binaryType = "arraybuffer";
    this.state.onmessage = ({ data }) => data instanceof ArrayBuffer && handlers.receipt(new Uint8Array(data));
    this.input.onclose = () => this.#lostTouch(channelClosedMsMax, false);
    this.#peer.ontrack = ({ track, receiver }) => {
      if ("jitterBufferTarget" in receiver) receiver.jitterBufferTarget = 0;
      this.tracks.push(track);
      this.handlers.track(track);
    };
    this.#peer.onicecandidate = ({ candidate }) => this.#found(candidate);
    this.#peer.onconnectionstatechange = () => this.#changed();
    this.#keepalive = setInterval(
      () => this.input.readyState === "open" && this.input.send(Uint8Array.of(keepalive)),
      keepaliveMs,
    );
    this.#offer = this.#makeOffer();
  }

  /** Gives the offer, and from then on candidates; the time to connect runs from here. `send` answers its number. */
  async negotiate(send: (sdp: string) => number | null): Promise<void> {
    const held = this.#localHeld ?? [];
    const sdp = await this.#offer;
    if (this.#peer.connectionState === "closed") return;
    this.#localHeld = null;
    this.#failAfter(connectMsMax);
    this.#offerNumber = send(sdp);
    for (const candidate of held) this.handlers.candidate(candidate);
  }

  /** More time to connect: signalling was away. */
  allowMore(): void {
    this.#failAfter(connectMsMax);
  }

  /** `to`: the offer's number. An answer to an offer before ours, whose connection was given up, is passed over. */
  async answer(sdp: string, to: number | undefined): Promise<void> {
    if (to !== undefined && to !== this.#offerNumber) return;
    await this.#peer.setRemoteDescription({ type: "answer", sdp });
    const held = this.#remoteHeld ?? [];
    this.#remoteHeld = null;
    for (const candidate of held) await this.#peer.addIceCandidate(candidate);
  }

  async addCandidate(candidate: IceCandidate): Promise<void> {
    if (this.#remoteHeld === null) return this.#peer.addIceCandidate(candidate);
    if (this.#remoteHeld.length < signallingLimits.candidatesPerConnectionMax) this.#remoteHeld.push(candidate);
  }

  /** Whether its offer was given: one connection is for one negotiation. */
  get isUsed(): boolean {
    return this.#localHeld === null;
  }

  /** Whether it waits for its first way: one that had one and lost it is better replaced. */
  get isNegotiating(): boolean {
    return this.isUsed && !this.#everConnected;
  }

  get wasConnected(): boolean {
    return this.#everConnected;
  }

  get isConnected(): boolean {
    return this.#peer.connectionState === "connected";
  }

  /** Since it was asked last; null the first time. */
  async rates(): Promise<PathRates | null> {
    const report = await this.#peer.getStats();
    const before = this.#lastSample;
    this.#lastSample = sample(report.values(), performance.now());
    return before && rates(before, this.#lastSample);
  }

  close(): void {
    clearTimeout(this.#deadline);
    clearInterval(this.#keepalive);
    this.input.onclose = this.input.onmessage = this.state.onmessage = null;
    this.#peer.ontrack = this.#peer.onicecandidate = this.#peer.onconnectionstatechange = null;
    this.#peer.close();
  }

  async #makeOffer(): Promise<string> {
    await this.#peer.setLocalDescription();
    return this.#peer.localDescription!.sdp;
  }

  #found(candidate: RTCIceCandidate | null): void {
    if (candidate === null || candidate.candidate === "" || this.#candidatesLeft-- <= 0) return;
    const found = { candidate: candidate.candidate, sdpMid: candidate.sdpMid };
    if (this.#localHeld === null) this.handlers.candidate(found);
    else this.#localHeld.push(found);
  }

  #changed(): void {
    switch (this.#peer.connectionState) {
      case "connected":
        clearTimeout(this.#deadline);
        this.#everConnected = true;
        this.handlers.connected();
        break;
      case "disconnected":
        this.#lostTouch(disconnectedMsMax, true);
        break;
      case "failed":
        // Before it ever connected this says no more than that the ways known so far failed. A TURN server refuses
        // private addresses at once, while the machine still asks for its relay's: the deadline decides.
        if (!this.#everConnected) break;
        clearTimeout(this.#deadline);
        this.handlers.failed("network-blocked");
    }
  }

  #lostTouch(failMsMax: number, wayLost: boolean): void {
    this.#failAfter(failMsMax);
    this.handlers.interrupted(wayLost);
  }

  #failAfter(delayMs: number): void {
    clearTimeout(this.#deadline);
    this.#deadline = setTimeout(
      () => this.handlers.failed(this.#peer.remoteDescription === null ? "no-answer" : "network-blocked"),
      delayMs,
    );
  }
}

/** Whether this browser can play what agents send. */
export function playsH264(): boolean {
  if (typeof RTCPeerConnection === "undefined") return false;
  return (RTCRtpReceiver.getCapabilities("video")?.codecs ?? []).some(isH264);
}

const isH264 = (codec: { mimeType: string }) => codec.mimeType.toLowerCase() === "video/h264";

// Packetisation mode 1 first: mode 0 forbids fragments (RFC 6184 §6.2), which a 720p frame needs.
function preferH264(transceiver: RTCRtpTransceiver): void {
  const codecs = RTCRtpReceiver.getCapabilities("video")?.codecs ?? [];
  const rank = (codec: { mimeType: string; sdpFmtpLine?: string }) =>
    !isH264(codec) ? 2 : codec.sdpFmtpLine?.includes("packetization-mode=1") ? 0 : 1;
  transceiver.setCodecPreferences([...codecs].sort((a, b) => rank(a) - rank(b)));
}
