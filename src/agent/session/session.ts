// One session of one game: who is connected, who plays, and what is reported upwards.
//
// Guarantees: at most one player; the connection whose media came up last takes over from the one before. Whatever a
// player holds is released into the game when the connection ends or is taken over. The game stands still while nobody
// plays. A connection that never comes up, or falls silent, is given up (liveness.ts). Offers that cannot be answered
// are refused, not fatal.
import { seqOf } from "../../contracts/input.js";
import { readAs } from "../../contracts/read-as.js";
import type { IceServer } from "../../contracts/session.js";
import { type IceCandidate, sdp } from "../../contracts/signalling.js";
import type { GameSource } from "../games/game-source.js";
import { isKeepalive, PlayerInput } from "../input/player-input.js";
import type { RateBounds } from "../webrtc/congestion/bandwidth-estimate.js";
import { IceServers } from "../webrtc/ice-servers.js";
import { type MediaNetwork, Peer } from "../webrtc/peer.js";
import { UnusableOfferError } from "../webrtc/sdp.js";
import { livenessLimits, lostBecause } from "./liveness.js";
import type { Pipeline } from "./pipeline.js";
import type { FromChild } from "./protocol.js";

export const sessionLimits = {
  /** Connections announced and not disconnected; at the limit the oldest that does not play is forgotten. */
  connectionsMax: 8,
  /** Candidates that arrive before their offer are held, not lost. */
  earlyCandidatesMax: 100,
} as const;

/** One WebRTC connection. A connection id whose browser offers again gets a new one. */
interface Link {
  readonly connectionId: string;
  readonly peer: Peer;
  readonly input: PlayerInput;
  readonly offeredAtMs: number;
  heardAtMs: number;
  connected: boolean;
}

interface Connection {
  /** The newest, while its answer is made. */
  offer: string | null;
  iceServers: readonly IceServer[];
  readonly earlyCandidates: IceCandidate[];
  link: Link | null;
}

type State = (FromChild & { type: "state" })["state"];

export interface SessionOptions {
  readonly source: GameSource;
  readonly pipeline: Pipeline;
  readonly bitrate: RateBounds;
  readonly network: MediaNetwork;
  readonly idleMs: number;
  readonly tell: (message: FromChild) => void;
}

export class Session {
  readonly #options: SessionOptions;
  readonly #connections = new Map<string, Connection>();
  readonly #links = new Set<Link>();
  readonly #closing = new Map<Peer, Promise<void>>();
  readonly #housekeeping: NodeJS.Timeout;
  #player: Link | null = null;
  /** What the player's path last carried: where the next connection of this session begins. */
  #startKbps: number;
  #inputAtMs = 0;
  #idle = false;

  constructor(options: SessionOptions) {
    this.#options = options;
    options.source.onRumble?.((rumble) => this.#player?.peer.sendRumble(rumble));
    this.#startKbps = options.bitrate.kbpsMax;
    this.#housekeeping = setInterval(() => this.#check(performance.now()), livenessLimits.checkMs);
  }

  connect(connectionId: string, iceServers: readonly IceServer[]): void {
    const idle = [...this.#connections.keys()].filter((id) => id !== this.#player?.connectionId);
    if (this.#connections.size >= sessionLimits.connectionsMax) this.#forget(idle[0]!);
    this.#connections.set(connectionId, { offer: null, iceServers, earlyCandidates: [], link: null });
  }

  /** For its next offer; what it has allocated already stays. */
  useIceServers(connectionId: string, iceServers: readonly IceServer[]): void {
    const connection = this.#connections.get(connectionId);
    if (connection !== undefined) connection.iceServers = iceServers;
  }

  /** `number` comes back with the answer. */
  async offer(connectionId: string, offered: string, number?: number): Promise<void> {
    const connection = this.#connections.get(connectionId);
    if (connection === undefined) {
      this.#options.tell({
        type: "refused",
        connectionId,
        reason: "session-failed",
        detail: "This connection is not known any more: connect again.",
      });
      return;
    }
    if (connection.link !== null && connection.link !== this.#player) this.#retire(connection.link);
    connection.link = null; // Candidates from here on are the new offer's.
    connection.offer = offered;
    let link: Link | null = null;
    try {
      const iceServers = await IceServers.open(connection.iceServers, this.#options.network.bindAddress);
      if (this.#connections.get(connectionId) !== connection || connection.offer !== offered) {
        iceServers[Symbol.dispose]();
        return;
      }
      link = this.#link(connectionId, iceServers);
      connection.link = link;
      const answer = link.peer.accept(offered);
      if (!readAs(sdp, answer).success) throw new UnusableOfferError("the answer to this offer would be too long");
      this.#options.tell({ type: "answer", connectionId, sdp: answer, ...(number !== undefined && { to: number }) });
    } catch (error) {
      if (link !== null) this.#retire(link);
      this.#options.tell({
        type: "refused",
        connectionId,
        reason: error instanceof UnusableOfferError ? "bad-offer" : "session-failed",
        detail: error instanceof Error ? error.message : String(error),
      });
      return;
    }
    for (const candidate of connection.earlyCandidates.splice(0)) addCandidate(link.peer, candidate);
  }

  candidate(connectionId: string, candidate: IceCandidate): void {
    const connection = this.#connections.get(connectionId);
    if (connection === undefined) return;
    if (connection.link !== null) addCandidate(connection.link.peer, candidate);
    else if (connection.earlyCandidates.length < sessionLimits.earlyCandidatesMax)
      connection.earlyCandidates.push(candidate);
  }

  /** A message of the control socket: the same bytes, and the same sequence, as on the player's data channels. */
  control(bytes: Uint8Array): void {
    if (this.#player === null) return;
    this.#player.heardAtMs = performance.now();
    this.#receive(this.#player, bytes);
  }

  disconnect(connectionId: string, bye: boolean): void {
    const playing = this.#player?.connectionId === connectionId;
    this.#forget(connectionId);
    if (playing)
      this.#stopPlaying(bye ? "left" : "disconnected", bye ? "the player left" : "the player was disconnected");
  }

  async close(): Promise<void> {
    clearInterval(this.#housekeeping);
    this.#player = null;
    this.#connections.clear();
    for (const link of [...this.#links]) this.#retire(link);
    await this.#options.pipeline.close();
    await Promise.all(this.#closing.values());
  }

  #link(connectionId: string, iceServers: IceServers): Link {
    const { network, bitrate, tell } = this.#options;
    const nowMs = performance.now();
    const peer = new Peer(
      { name: connectionId, iceServers, network, bitrate, startKbps: this.#startKbps },
      {
        candidate: (candidate) => tell({ type: "candidate", connectionId, candidate }),
        connected: () => this.#takeOver(link),
        closed: (reason) => this.#lose(link, reason),
        message: (bytes) => this.#receive(link, bytes),
        heard: () => {
          link.heardAtMs = performance.now();
        },
        keyframeWanted: () => this.#options.pipeline.requestKeyframe(),
        bandwidth: (kbps) => {
          if (link !== this.#player) return;
          this.#startKbps = kbps;
          this.#options.pipeline.setBitrate(kbps);
        },
        soundLost: (share) => {
          if (link === this.#player) this.#options.pipeline.soundLost(share);
        },
      },
    );
    const input = new PlayerInput();
    const link: Link = { connectionId, peer, input, offeredAtMs: nowMs, heardAtMs: nowMs, connected: false };
    this.#links.add(link);
    return link;
  }

  #takeOver(link: Link): void {
    const before = this.#player;
    link.connected = true;
    link.heardAtMs = performance.now();
    this.#player = link;
    this.#inputAtMs = link.heardAtMs;
    this.#idle = false;
    if (before !== null) {
      this.#release(before);
      this.#retire(before);
    }
    this.#options.pipeline.playFor(link.peer);
    this.#report("connected", link.connectionId, before === null ? "" : "took over");
  }

  #receive(link: Link, bytes: Uint8Array): void {
    if (link !== this.#player || isKeepalive(bytes)) return;
    const events = link.input.receive(bytes);
    if (events.length === 0) return;
    for (const event of events) this.#options.source.input(event);
    this.#inputAtMs = performance.now();
    this.#options.pipeline.inputArrived(seqOf(bytes), this.#inputAtMs);
    this.#idle = false;
  }

  #check(nowMs: number): void {
    for (const link of [...this.#links]) {
      const { connected, offeredAtMs, heardAtMs, peer } = link;
      const reason = lostBecause({ connected, offeredAtMs, heardAtMs, iceConnected: peer.iceConnected }, nowMs);
      if (reason !== null) this.#lose(link, reason);
    }
    if (this.#player !== null && !this.#idle && nowMs - this.#inputAtMs >= this.#options.idleMs) {
      this.#idle = true;
      this.#report("idle", this.#player.connectionId, `no input for ${Math.round(this.#options.idleMs / 1000)} s`);
    }
  }

  #lose(link: Link, reason: string): void {
    this.#retire(link);
    if (link === this.#player) this.#stopPlaying("disconnected", reason);
  }

  #stopPlaying(state: State, detail: string): void {
    const link = this.#player;
    if (link === null) return;
    this.#player = null;
    this.#options.pipeline.pause();
    this.#release(link);
    this.#report(state, link.connectionId, detail);
  }

  #release(link: Link): void {
    for (const event of link.input.release()) this.#options.source.input(event);
  }

  #forget(connectionId: string): void {
    for (const link of [...this.#links]) if (link.connectionId === connectionId) this.#retire(link);
    this.#connections.delete(connectionId);
  }

  #retire(link: Link): void {
    if (!this.#links.delete(link)) return;
    const connection = this.#connections.get(link.connectionId);
    if (connection?.link === link) connection.link = null;
    const { peer } = link;
    const closing = peer.close().finally(() => this.#closing.delete(peer));
    this.#closing.set(peer, closing);
  }

  #report(state: State, connectionId: string, detail: string): void {
    this.#options.tell({ type: "state", state, connectionId, detail });
  }
}

/** A candidate comes from the browser: one that libdatachannel cannot read is not worth the connection. */
function addCandidate(peer: Peer, candidate: IceCandidate): void {
  try {
    peer.addCandidate(candidate);
  } catch {
    // The others, and what the browser's own checks reveal, remain.
  }
}
