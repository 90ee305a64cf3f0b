// A page's end of the media connection without a browser: libdatachannel as the one that offers, so that a test can send
// what no browser would. It decodes nothing; it counts what arrives.
import { type DataChannel, PeerConnection, type Track, Video } from "node-datachannel";
import { isRtcp } from "../../src/agent/webrtc/rtcp.js";
import { extensionUris } from "../../src/agent/webrtc/sdp.js";
import type { IceCandidate } from "../../src/contracts/signalling.js";

/** What either end says to the other while they connect. */
export type PageSignal = { type: "offer"; sdp: string } | { type: "candidate"; candidate: IceCandidate };
export type SessionSignal = { type: "answer"; sdp: string } | { type: "candidate"; candidate: IceCandidate };

const payloadType = 108;
const transportSequenceId = 4;
const waitMs = 20;

export class PagePeer implements Disposable {
  readonly input: DataChannel;
  readonly state: DataChannel;
  rtpPackets = 0;
  readonly #connection: PeerConnection;
  readonly #video: Track;

  constructor() {
    this.#connection = new PeerConnection("page", {
      iceServers: [],
      bindAddress: "127.0.0.1",
      disableAutoNegotiation: true,
    });
    const video = new Video("0", "RecvOnly");
    video.addH264Codec(payloadType, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f");
    video.addRTXCodec(payloadType + 1, payloadType, 90_000);
    this.#video = this.#connection.addTrack(video);
    this.#video.onMessage((packet) => {
      if (!isRtcp(packet)) this.rtpPackets++;
    });
    this.#video.onClosed(() => {});
    this.input = this.#connection.createDataChannel("input");
    this.state = this.#connection.createDataChannel("state", { unordered: true, maxRetransmits: 0 });
    for (const channel of [this.input, this.state]) {
      channel.onClosed(() => {});
      // Receipts and rumble, which a page would read: nobody's queue may fill up with them.
      channel.onMessage(() => {});
    }
  }

  /** Offers; resolves once both channels are open. What the session says meanwhile goes to `receive`. */
  async connect(tell: (signal: PageSignal) => void): Promise<void> {
    this.#connection.onLocalCandidate((candidate, sdpMid) =>
      tell({ type: "candidate", candidate: { candidate: candidate.replace(/^a=/, ""), sdpMid } }),
    );
    const open = [this.input, this.state].map((channel) => new Promise<void>((resolve) => channel.onOpen(resolve)));
    const described = new Promise<string>((resolve) => this.#connection.onLocalDescription((sdp) => resolve(sdp)));
    this.#connection.setLocalDescription("offer");
    // What libdatachannel does not say by itself, and a browser does.
    const extension = `a=extmap:${transportSequenceId} ${extensionUris.transportSequence}`;
    tell({ type: "offer", sdp: (await described).replace("a=mid:0\r\n", `a=mid:0\r\n${extension}\r\n`) });
    await Promise.all(open);
  }

  receive(signal: SessionSignal): void {
    if (signal.type === "answer") this.#connection.setRemoteDescription(signal.sdp, "answer");
    else this.#connection.addRemoteCandidate(signal.candidate.candidate, signal.candidate.sdpMid ?? "0");
  }

  /** Resolves when so many more packets of the picture have come. */
  async pictureGoesOn(packets = 30): Promise<void> {
    const before = this.rtpPackets;
    while (this.rtpPackets < before + packets) await new Promise((resolve) => setTimeout(resolve, waitMs));
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }
}
