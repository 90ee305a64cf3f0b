// The players' sockets of this node, by session: checks credentials at the door, feeds what happens to the rules
// (relay.ts), and carries out what they say.
//
// Everything of one connection goes through `#happen`, one thing after another. Nothing here outlives the process: both
// ends resume, and the agents hold what must be remembered.
import { randomBytes } from "node:crypto";
import type { WebSocket } from "ws";
import { inputBytesMax } from "../../contracts/input.js";
import { Problem } from "../../contracts/problems.js";
import { readAs } from "../../contracts/read-as.js";
import { type IceServer, type Session, sessionRoutes } from "../../contracts/session.js";
import {
  closeCodes,
  controlPrefix,
  fromPlayer,
  type Hello,
  hello,
  helloVersion,
  protocolVersions,
} from "../../contracts/signalling.js";
import type { StreamStatus } from "../../contracts/streaming.js";
import type { Authenticator } from "../../platform/auth.js";
import type { RouteClient } from "../../platform/client.js";
import type { Clock } from "../../platform/clock.js";
import type { Log } from "../../platform/log.js";
import type { Agents } from "../agents/agents.js";
import type { Reports } from "../agents/reports.js";
import type { StreamingMetrics } from "../metrics.js";
import { LatencyReports } from "../sessions/latency-reports.js";
import { type Connection, isProved, openConnection, type PlayersLine, type Proof } from "./connection.js";
import { type AgentAnswer, type Incoming, type Outgoing, type Refusal, relay } from "./relay.js";
import { type OpenSocket, openSocket, type SocketLimits } from "./socket.js";
import { Waiters } from "./waiters.js";

const earlyInputsMax = 64;

/** The version of the protocol that numbers what page and agent say to each other. */
const numberingSince = 2;

export interface RoomLimits {
  readonly helloMs: number;
  readonly waiterGoneMs: number;
  /** How often a player and its agent get new TURN credentials; null: theirs do not expire. */
  readonly credentialsRenewMs: number | null;
  readonly socketsMax: number;
  /** Of one session and channel; beyond it the oldest that has not joined makes room, first one that proved nothing. */
  readonly socketsPerSessionMax: number;
  readonly signalling: SocketLimits;
  readonly control: SocketLimits;
}

export interface RoomsDeps {
  readonly agents: Agents;
  readonly reports: Reports;
  readonly sessions: RouteClient;
  readonly authenticator: Authenticator;
  readonly iceServersFor: (sessionId: string) => IceServer[];
  /** Unique for good, also among nodes. */
  readonly newConnectionId: () => string;
  /** Whether the session has a player at another node, or may have one again in time; null: not known now. */
  readonly playsElsewhere: (sessionId: string) => Promise<boolean | null>;
  readonly limits: RoomLimits;
  readonly metrics: StreamingMetrics;
  readonly clock: Clock;
  readonly log: Log;
}

interface Player {
  connection: Connection;
  readonly socket: OpenSocket;
  readonly openedAt: number;
  readonly helloTimer: NodeJS.Timeout;
  readonly renewTimer: NodeJS.Timeout | undefined;
  /** Of its input on the agent's link. */
  readonly prefix: Uint8Array;
  /** Input that came before the agent first accepted this connection: a player does not wait for that to press a key. */
  readonly early: Uint8Array[];
}

type Door = { readonly proof: Proof; readonly line: PlayersLine; readonly session: Session };

export class Rooms implements Disposable {
  readonly #rooms = new Map<string, Set<Player>>();
  readonly #byConnection = new Map<string, Player>();
  readonly #waiters: Waiters;
  readonly #latency: LatencyReports;

  constructor(private readonly deps: RoomsDeps) {
    const { waiterGoneMs } = deps.limits;
    const detail = `The player left while waiting, and was not back within ${waiterGoneMs / 1000} s.`;
    this.#waiters = new Waiters({
      waiterGoneMs,
      playsElsewhere: deps.playsElsewhere,
      left: (sessionId) => deps.reports.report(sessionId, { vmId: null, state: "left", detail }),
    });
    this.#latency = new LatencyReports(deps.metrics);
  }

  /** Takes a socket of which nothing is proved yet. */
  enter(sessionId: string, channel: Connection["channel"], socket: WebSocket): void {
    const { limits, clock, metrics } = this.deps;
    const connectionId = this.deps.newConnectionId();
    const player: Player = {
      connection: openConnection({ sessionId, connectionId, channel }),
      openedAt: clock.now(),
      prefix: controlPrefix(connectionId),
      early: [],
      helloTimer: setTimeout(() => this.#refuse(player, "helloTimeout", "No hello came in time."), limits.helloMs),
      renewTimer:
        limits.credentialsRenewMs === null || channel === "control"
          ? undefined
          : setInterval(() => this.#happen(player, { type: "credentials-age" }), limits.credentialsRenewMs),
      socket: openSocket(socket, limits[channel], clock, {
        text: (text) => this.#hearText(player, text),
        binary: (bytes) => this.#hearInput(player, bytes),
        tooFast: () => this.#refuse(player, "tooFast", "Too many messages."),
        closed: () => this.#leave(player),
      }),
    };
    metrics.open.inc({ kind: channel });
    this.#byConnection.set(connectionId, player);
    const room = this.#rooms.get(sessionId) ?? new Set();
    this.#rooms.set(sessionId, room.add(player));
    if (this.#byConnection.size > limits.socketsMax)
      this.#refuse(player, "unavailable", "This node has too many connections: try again.");
    const crowd = [...room].filter(({ connection }) => connection.channel === channel && connection.phase !== "closed");
    if (crowd.length > limits.socketsPerSessionMax) {
      const idle = crowd.filter((other) => other !== player && other.connection.phase !== "joined");
      const makesRoom = idle.find(({ connection }) => !isProved(connection)) ?? idle[0] ?? player;
      this.#refuse(makesRoom, "tooFast", "Too many connections for one session.");
    }
  }

  /** A session is in a new state. */
  sessionChanged(session: Session): void {
    for (const player of this.#rooms.get(session.sessionId) ?? []) this.#happen(player, { type: "session", session });
  }

  linkChanged(vmId: string, up: boolean): void {
    for (const player of this.#byConnection.values())
      if (player.connection.vmId === vmId) this.#happen(player, { type: "link", vmId, up });
  }

  agentAnswered(vmId: string, message: AgentAnswer): void {
    const player = this.#byConnection.get(message.connectionId);
    if (player !== undefined) this.#happen(player, { type: "agent", vmId, message });
  }

  /** Reads the sessions with open sockets again: their changes may have been missed. */
  async readAgain(signal: AbortSignal): Promise<void> {
    for (const sessionId of [...this.#rooms.keys()]) {
      if (signal.aborted) return;
      try {
        this.sessionChanged(await this.#readSession(sessionId));
      } catch (error) {
        this.deps.log.warn({ err: error, sessionId }, "the session could not be read again");
      }
    }
  }

  /** The sessions that have no seat yet and whose players are here. */
  awaited(): string[] {
    return [...this.#rooms].flatMap(([sessionId, players]) =>
      [...players].some(({ connection }) => awaitsSeat(connection)) ? [sessionId] : [],
    );
  }

  /** How many signalling sockets the session has here; a player that left and may yet be back in time counts, too. */
  count(sessionId: string): number {
    return this.#signalling(sessionId).length + (this.#waiters.times(sessionId) ? 1 : 0);
  }

  /** How the session's player is connected, as far as this node and the session service know. */
  status({ sessionId, status, vmId, joinedAt }: Session): StreamStatus {
    const players = this.#signalling(sessionId);
    const latency = this.#latency.of(sessionId, this.deps.clock.now());
    const answer = { sessionId, vmId, players: players.length, latency };
    if (status === "ACTIVE") return { ...answer, connection: "connected", since: joinedAt };
    if (status === "DISCONNECTED") return { ...answer, connection: "disconnected", since: joinedAt };
    const newest = players.at(-1);
    if (newest === undefined) return { ...answer, connection: "none", since: null };
    const { phase } = newest.connection;
    const since = new Date(newest.openedAt).toISOString();
    return { ...answer, connection: phase === "joining" || phase === "joined" ? "joining" : "waiting", since };
  }

  /** Whoever leaves from now on leaves because this node stops. */
  [Symbol.dispose](): void {
    this.#waiters[Symbol.dispose]();
  }

  #signalling(sessionId: string): Player[] {
    return [...(this.#rooms.get(sessionId) ?? [])].filter(
      ({ connection }) => connection.channel === "signalling" && connection.phase !== "closed",
    );
  }

  #hearText(player: Player, text: string): void {
    const json = parseJson(text);
    if (player.connection.phase === "awaiting-hello") {
      const said = readAs(hello, json);
      const refused = unspokenVersion(json);
      if (refused !== null) this.#refuse(player, "unsupportedVersion", refused);
      else if (said.success) this.#hearHello(player, said.data);
      else this.#refuse(player, "badMessage", "Say hello first, with a ticket or a resume secret.");
    } else {
      const message = readAs(fromPlayer, json);
      if (message.success) this.#happen(player, { type: "player", message: message.data });
      else this.#refuse(player, "badMessage", "That is not a message of the protocol.");
    }
  }

  #hearHello(player: Player, said: Hello): void {
    clearTimeout(player.helloTimer);
    this.#happen(player, { type: "hello" });
    if (player.connection.channel === "signalling") this.#waiters.greeted(player.connection.sessionId);
    this.#checkHello(player.connection, said).then(
      (door) => this.#happen(player, { type: "admitted", ...door }),
      (error: unknown) => this.#turnAway(player, error),
    );
  }

  /** @throws Problem why the player may not come in. */
  async #checkHello({ sessionId, channel }: Connection, said: Hello): Promise<Door> {
    let proof: Proof;
    if ("resume" in said) proof = { resume: said.resume };
    else {
      if (channel === "control") throw new Problem("invalid-request", "The control socket takes the welcome's resume.");
      const ticket = await this.deps.authenticator.fromTicket(said.ticket);
      if (ticket === null) throw new Problem("unauthenticated", "The ticket is not genuine, or has run out.");
      if (ticket.sessionId !== sessionId) throw new Problem("forbidden", "The ticket is for another session.");
      proof = { jti: ticket.jti, expiresAt: ticket.expiresAt };
    }
    const numbers = channel === "signalling" && (said.version ?? protocolVersions.oldest) >= numberingSince;
    const line = !numbers ? undefined : "line" in said ? (said.line ?? null) : null;
    return { proof, line, session: await this.#readSession(sessionId) };
  }

  #turnAway(player: Player, error: unknown): void {
    if (!(error instanceof Problem)) this.deps.log.error({ err: error }, "a hello could not be checked");
    const refusal = error instanceof Problem ? refusalOf(error) : "unavailable";
    const detail = error instanceof Problem ? error.detail : undefined;
    this.#refuse(player, refusal, detail ?? "The session cannot be looked up now.");
  }

  async #readSession(sessionId: string): Promise<Session> {
    const { body } = await this.deps.sessions.call(sessionRoutes.getSession, { params: { sessionId } });
    return body;
  }

  #hearInput(player: Player, bytes: Uint8Array): void {
    const { channel, phase } = player.connection;
    if (channel === "signalling") this.#refuse(player, "badMessage", "Signalling is text.");
    else if (phase === "awaiting-hello") this.#refuse(player, "badMessage", "Say hello first.");
    else if (bytes.length > inputBytesMax) this.#refuse(player, "badMessage", "That is too long for input.");
    else if (player.connection.accepted === null && player.early.length < earlyInputsMax)
      player.early.push(Uint8Array.from(bytes));
    else this.#sendInput(player, bytes);
  }

  /** Input is about now: what its agent cannot take at once is worth nothing later. */
  #sendInput({ connection: { phase, vmId }, prefix }: Player, bytes: Uint8Array): void {
    const sent = phase === "joined" && vmId !== null && this.deps.agents.send(vmId, Buffer.concat([prefix, bytes]));
    if (!sent) this.deps.metrics.inputDropped.inc();
  }

  #refuse(player: Player, refusal: Refusal, detail: string): void {
    this.#happen(player, { type: "refuse", refusal, detail });
  }

  #leave(player: Player): void {
    const { sessionId, connectionId, channel } = player.connection;
    clearTimeout(player.helloTimer);
    clearInterval(player.renewTimer);
    this.#happen(player, { type: "socket-closed" });
    this.deps.metrics.open.dec({ kind: channel });
    this.#byConnection.delete(connectionId);
    const room = this.#rooms.get(sessionId);
    room?.delete(player);
    if (room?.size === 0) {
      this.#rooms.delete(sessionId);
      this.#latency.forget(sessionId);
    }
    if (channel === "signalling") this.#waiters.left(player.connection, ![...(room ?? [])].some(isWaiting));
  }

  #happen(player: Player, incoming: Incoming): void {
    const { agents, iceServersFor, clock } = this.deps;
    const now = clock.now();
    const { connection, outgoing } = relay(player.connection, incoming, {
      linked: (vmId) => agents.linked(vmId),
      iceServers: () => iceServersFor(player.connection.sessionId),
      nowSeconds: Math.floor(now / 1000),
      newJti: () => randomBytes(16).toString("base64url"),
    });
    player.connection = connection;
    for (const item of outgoing) this.#carryOut(player, item);
    if (connection.phase === "joined") for (const input of player.early.splice(0)) this.#sendInput(player, input);
  }

  #carryOut({ connection, socket }: Player, item: Outgoing): void {
    const { agents, reports, metrics, clock, log } = this.deps;
    const { sessionId, channel } = connection;
    if (item.to === "agent") agents.send(item.vmId, item.message);
    else if (item.to === "session") reports.report(sessionId, item.report);
    else if (item.to === "status") this.#latency.hear(sessionId, item.latency, clock.now());
    else if ("message" in item) {
      if (socket.send(item.message)) metrics.relayed.inc({ to: "player", type: item.message.type });
    } else {
      const [reason] = Object.entries(closeCodes).find(([, code]) => code === item.close)!;
      if (reason !== "ended") metrics.refused.inc({ kind: channel, reason });
      log.info({ sessionId, channel, reason, detail: item.reason }, "a player's socket is closed");
      socket.close(item.close, item.reason);
    }
  }
}

/** Why a hello of that version is refused; null: it is not, as far as its version goes. */
function unspokenVersion(json: unknown): string | null {
  const { oldest, newest } = protocolVersions;
  const said = readAs(helloVersion, json);
  if (!said.success || (said.data.version >= oldest && said.data.version <= newest)) return null;
  return `Versions ${oldest} to ${newest} are spoken here, not ${said.data.version}: load the player anew.`;
}

const isWaiting = ({ connection: { channel, phase } }: Player): boolean =>
  channel === "signalling" && phase !== "awaiting-hello" && phase !== "closed";

/** Proved or not: who resumes is known to the agent alone, and when its VM has broken there is none to ask. */
const awaitsSeat = ({ channel, phase, session }: Connection): boolean =>
  channel === "signalling" && phase === "waiting" && session !== null && session.vmId === null && session.end === null;

function refusalOf({ type }: Problem): Refusal {
  switch (type) {
    case "invalid-request":
      return "badMessage";
    case "unauthenticated":
      return "unauthenticated";
    case "forbidden":
      return "forbidden";
    case "not-found":
      return "notFound";
    default:
      return "unavailable";
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}
