// The rules of signalling, without a socket: what one player connection says to whom after each thing that happens.
//
// Guarantees: never throws on anything a player or an agent may send; a candidate goes out after the offer (or answer)
// it belongs to, and none is lost while the seat or the agent's link is away; an agent hears of a connection only
// between its `join` and its `gone`; everything that closes a socket says why first.
// Does not: decide who may join. It was checked at the door that a ticket is genuine (rooms.ts); whether it was used
// before, whether a resume secret is right and which of two connections wins is the agent's to say.
//
// The agent's link going away closes nothing: media flows without us. The connection joins again when the link is back.
// When a session moves to another VM, its connections move with it: they were accepted already, so this node vouches
// for them with a fresh ticket id.
//
// What is numbered (contracts/line.ts) passes in the order it came; what is lost here, with this process or on a link,
// the ends say again: we only see to it that they learn of every break. What a player of version 1 says is held and
// ordered here.
import type { LatencyReport } from "../../contracts/latency.js";
import { Problem, type ProblemType } from "../../contracts/problems.js";
import type { ConnectionReport, IceServer, Session } from "../../contracts/session.js";
import {
  closeCodes,
  type FromAgent,
  type FromPlayer,
  protocolVersions,
  type StreamInfo,
  signallingLimits,
  type ToAgent,
  type ToPlayer,
} from "../../contracts/signalling.js";
import {
  type Candidate,
  type Connection,
  isProved,
  mayMove,
  move,
  type Offer,
  type PlayersLine,
  type Progress,
  type Proof,
} from "./connection.js";

/** What an agent says about one connection. */
export type AgentAnswer = Extract<FromAgent, { connectionId: string }>;

export type Refusal = Exclude<keyof typeof closeCodes, "ended">;

export type Incoming =
  | { readonly type: "hello" }
  | { readonly type: "admitted"; readonly proof: Proof; readonly line: PlayersLine; readonly session: Session }
  | { readonly type: "player"; readonly message: FromPlayer }
  | { readonly type: "agent"; readonly vmId: string; readonly message: AgentAnswer }
  | { readonly type: "session"; readonly session: Session }
  | { readonly type: "link"; readonly vmId: string; readonly up: boolean }
  | { readonly type: "credentials-age" }
  | { readonly type: "refuse"; readonly refusal: Refusal; readonly detail: string }
  | { readonly type: "socket-closed" };

export type Outgoing =
  | { readonly to: "player"; readonly message: ToPlayer }
  | { readonly to: "player"; readonly close: number; readonly reason: string }
  | { readonly to: "agent"; readonly vmId: string; readonly message: ToAgent }
  | { readonly to: "session"; readonly report: ConnectionReport }
  | { readonly to: "status"; readonly latency: LatencyReport };

/** What the rules need to know of the world. */
export interface Surroundings {
  readonly linked: (vmId: string) => boolean;
  /** With credentials made now. */
  readonly iceServers: () => IceServer[];
  /** Unix seconds. */
  readonly nowSeconds: number;
  readonly newJti: () => string;
}

export interface Step {
  readonly connection: Connection;
  readonly outgoing: readonly Outgoing[];
}

// How long an agent must remember a ticket it has seen: a ticket may be older than its lifetime when its seat is ready.
const rememberSeconds = 60;

const refusalProblems = {
  badMessage: "invalid-request",
  unauthenticated: "unauthenticated",
  forbidden: "forbidden",
  notFound: "not-found",
  helloTimeout: "unauthenticated",
  takenOver: "illegal-transition",
  unsupportedVersion: "unsupported-version",
  tooFast: "rate-limited",
  unavailable: "unavailable",
} as const satisfies Record<Refusal, ProblemType>;

const refusalsByAgent = {
  "ticket-used": "unauthenticated",
  "resume-wrong": "unauthenticated",
  "no-such-session": "notFound",
  "bad-offer": "badMessage",
  "session-failed": "unavailable",
  "taken-over": "takenOver",
} as const satisfies Record<Extract<FromAgent, { type: "refused" }>["reason"], Refusal>;

export function relay(connection: Connection, incoming: Incoming, around: Surroundings): Step {
  if (connection.phase === "closed") return stay(connection);
  switch (incoming.type) {
    case "hello":
      if (!mayMove(connection, "hello")) return refuse(connection, "badMessage", "One hello is enough.");
      return stay(move(connection, "hello"));
    case "admitted": {
      if (!mayMove(connection, "admitted")) return stay(connection);
      const { proof, line, session } = incoming;
      return follow({ ...move(connection, "admitted"), proof, line }, session, around);
    }
    case "session":
      if (connection.session === null || incoming.session.version <= connection.session.version)
        return stay(connection);
      return follow(connection, incoming.session, around);
    case "link":
      if (incoming.vmId !== connection.vmId) return stay(connection);
      return settle(incoming.up ? connection : unlink(connection), around);
    case "player":
      return hearPlayer(connection, incoming.message);
    case "agent":
      return hearAgent(connection, incoming.vmId, incoming.message, around);
    case "credentials-age":
      return renewCredentials(connection, around);
    case "refuse":
      return refuse(connection, incoming.refusal, incoming.detail);
    case "socket-closed":
      return { connection: move(connection, "close"), outgoing: gone(connection) };
  }
}

const stay = (connection: Connection): Step => ({ connection, outgoing: [] });

const toPlayer = (message: ToPlayer): Outgoing => ({ to: "player", message });

const withAgent = (connection: Connection): string | null =>
  connection.phase === "joining" || connection.phase === "joined" ? connection.vmId : null;

const unlink = (connection: Connection): Connection =>
  mayMove(connection, "unlinked") ? move(connection, "unlinked") : connection;

/** Where nothing is numbered the number goes no further: it would wait for acks that never come. */
function toAgent(connection: Connection, { seq, ...message }: Offer | Candidate): Outgoing[] {
  const { phase, vmId, sessionId, connectionId, line } = connection;
  if (phase !== "joined" || vmId === null) return [];
  const number = line === undefined || seq === undefined ? {} : { seq };
  return [{ to: "agent", vmId, message: { type: "signal", sessionId, connectionId, message, ...number } }];
}

function gone(connection: Connection): Outgoing[] {
  const vmId = withAgent(connection);
  const { sessionId, connectionId } = connection;
  return vmId === null ? [] : [{ to: "agent", vmId, message: { type: "gone", sessionId, connectionId } }];
}

function refuse(connection: Connection, refusal: Refusal, detail: string, byAgent = false): Step {
  const problem = new Problem(refusalProblems[refusal], detail).toDocument();
  return {
    connection: move(connection, "close"),
    outgoing: [
      toPlayer({ type: "problem", problem }),
      { to: "player", close: closeCodes[refusal], reason: detail },
      ...(byAgent ? [] : gone(connection)),
    ],
  };
}

/** The session changed, or is seen for the first time. */
function follow(connection: Connection, session: Session, around: Surroundings): Step {
  if (session.end !== null)
    return {
      connection: move(connection, "close"),
      outgoing: [
        toPlayer({ type: "ended", ...session.end }),
        { to: "player", close: closeCodes.ended, reason: session.end.reason },
        ...gone(connection),
      ],
    };
  const known = { ...connection, session };
  if (session.vmId === connection.vmId) return settle(known, around);
  const left = gone(connection);
  // What was said on a line is that machine's business; another begins another line, and the player offers anew.
  const signals = connection.answered || connection.line ? noSignals : { agentCandidates: [] };
  const moved = { ...unlink(known), vmId: session.vmId, ...signals };
  if (connection.channel === "control" && connection.accepted !== null) {
    const step = refuse(moved, "unavailable", "The session moves to another machine: connect again when welcomed.");
    return { ...step, outgoing: [...left, ...step.outgoing] };
  }
  const step = settle(moved, around);
  return { ...step, outgoing: [...left, ...step.outgoing] };
}

const noSignals = { offer: null, candidates: [], candidatesSeen: 0, answered: false, agentCandidates: [] } as const;

/** Joins when it may, and tells the player what it waits for. */
function settle(connection: Connection, around: Surroundings): Step {
  const { phase, vmId, session, sessionId, connectionId, channel } = connection;
  if (phase !== "waiting" || session === null) return stay(connection);
  const told = tell(connection, session);
  if (vmId === null || !around.linked(vmId)) return told;
  const join: ToAgent = {
    type: "join",
    sessionId,
    connectionId,
    channel,
    proof: proofFor(connection, vmId, around),
    iceServers: around.iceServers(),
    ...(connection.line === undefined ? {} : { line: connection.line }),
  };
  return {
    connection: move(told.connection, "join"),
    outgoing: [...told.outgoing, { to: "agent", vmId, message: join }],
  };
}

function proofFor({ accepted, proof }: Connection, vmId: string, { nowSeconds, newJti }: Surroundings): Proof {
  const expiresAt = nowSeconds + rememberSeconds;
  if (accepted !== null) return accepted.vmId === vmId ? { resume: accepted.resume } : { jti: newJti(), expiresAt };
  if (proof === null) throw new Error("a connection that waits was admitted with a proof");
  return "jti" in proof ? { jti: proof.jti, expiresAt: Math.max(proof.expiresAt, expiresAt) } : proof;
}

function tell(connection: Connection, session: Session): Step {
  // Its stream runs already; only our way to its agent is away.
  if (connection.channel === "control" || (connection.vmId !== null && connection.accepted?.vmId === connection.vmId))
    return stay(connection);
  const { status, queue, vmId } = session;
  const progress: Progress = {
    type: "progress",
    status,
    step: vmId !== null ? "connecting" : status === "PROVISIONING" ? "starting-machine" : "finding-seat",
    position: queue?.position ?? null,
    etaSeconds: queue?.etaSeconds ?? null,
    reason: queue?.reason ?? null,
  };
  if (connection.told !== null && JSON.stringify(connection.told) === JSON.stringify(progress)) return stay(connection);
  return { connection: { ...connection, told: progress }, outgoing: [toPlayer(progress)] };
}

function hearPlayer(connection: Connection, message: FromPlayer): Step {
  if (message.type === "ping") return { connection, outgoing: [toPlayer({ type: "pong" })] };
  if (connection.phase === "awaiting-hello") return refuse(connection, "badMessage", "Say hello first.");
  if (connection.channel === "control")
    return refuse(connection, "badMessage", "The control socket takes input, not signalling.");
  switch (message.type) {
    case "offer": {
      // Candidates already here belong to this offer if none came before it, else to the one it replaces.
      const candidates = connection.offer === null && !connection.answered ? connection.candidates : [];
      const next = { ...connection, offer: message, candidates, candidatesSeen: candidates.length };
      return { connection: next, outgoing: signals(next) };
    }
    case "candidate": {
      const { phase, line, offer, answered, candidates } = connection;
      const tooMany = connection.candidatesSeen >= signallingLimits.candidatesPerConnectionMax;
      // A numbered one that is dropped holds up all that follow; one without a number waits for its offer.
      const passes = phase === "joined" && (isNumbered(line, message) || (!tooMany && (offer !== null || answered)));
      const held = !tooMany && !(passes && offer === null);
      const seen = { ...connection, candidatesSeen: connection.candidatesSeen + (tooMany ? 0 : 1) };
      return {
        connection: held ? { ...seen, candidates: [...candidates, message] } : seen,
        outgoing: passes ? toAgent(connection, message) : [],
      };
    }
    case "ack":
      return hearAck(connection, message.received);
    case "bye":
      return bye(connection, message.seq);
    case "report": {
      // Whoever was never accepted has no stream to tell of.
      if (connection.accepted === null) return stay(connection);
      const { type: _, ...latency } = message;
      return { connection, outgoing: [{ to: "status", latency }] };
    }
  }
}

/** To whom has been given some already: what is given from now on is new anyway. */
function renewCredentials(connection: Connection, around: Surroundings): Step {
  const { channel, accepted, phase, vmId, sessionId, connectionId } = connection;
  if (channel === "control" || accepted === null) return stay(connection);
  const renewal = { type: "ice-servers", iceServers: around.iceServers() } as const;
  const agent: Outgoing[] =
    phase === "joined" && vmId !== null
      ? [{ to: "agent", vmId, message: { ...renewal, sessionId, connectionId } }]
      : [];
  return { connection, outgoing: [toPlayer(renewal), ...agent] };
}

const isNumbered = (line: PlayersLine, { seq }: Offer | Candidate): boolean => line !== undefined && seq !== undefined;

/** All that is held for the agent, in the order it makes sense to it: by number, else the offer first. */
function signals(connection: Connection): Outgoing[] {
  const { offer, candidates, answered, line } = connection;
  const mayGo = offer !== null || answered ? candidates : candidates.filter((held) => isNumbered(line, held));
  const held = [...(offer === null ? [] : [offer]), ...mayGo];
  const place = (message: Offer | Candidate) => message.seq ?? (message.type === "offer" ? 0 : Number.MAX_SAFE_INTEGER);
  if (line !== undefined) held.sort((a, b) => place(a) - place(b));
  return held.flatMap((message) => toAgent(connection, message));
}

/** Passed on, and remembered for the next join. */
function hearAck(connection: Connection, received: number): Step {
  const { line, phase, vmId, sessionId, connectionId } = connection;
  if (!line || phase !== "joined" || vmId === null) return stay(connection);
  return {
    connection: { ...connection, line: { ...line, received: Math.max(line.received, received) } },
    outgoing: [{ to: "agent", vmId, message: { type: "ack", sessionId, connectionId, received } }],
  };
}

function bye(connection: Connection, seq: number | undefined): Step {
  const { sessionId, connectionId, session, line } = connection;
  const vmId = withAgent(connection);
  const number = line === undefined || seq === undefined ? {} : { seq };
  if (vmId !== null)
    return {
      connection,
      outgoing: [{ to: "agent", vmId, message: { type: "bye", sessionId, connectionId, ...number } }],
    };
  // Nobody has checked a resume secret yet, and a hello under way proves nothing: that socket just closes.
  if (session === null || !isProved(connection))
    return {
      connection: move(connection, "close"),
      outgoing: [{ to: "player", close: closeCodes.ended, reason: "bye" }],
    };
  const report: ConnectionReport = { vmId: session.vmId, state: "left", detail: "The player left." };
  return { connection, outgoing: [{ to: "session", report }] };
}

function hearAgent(connection: Connection, vmId: string, message: AgentAnswer, around: Surroundings): Step {
  // Another VM's agent has no say here, nor has one that was not asked (or whose answer the link's loss overtook).
  if (vmId !== withAgent(connection)) return stay(connection);
  switch (message.type) {
    case "joined":
      return mayMove(connection, "joined") ? welcome(connection, message, around) : stay(connection);
    case "ack":
      return connection.line
        ? { connection, outgoing: [toPlayer({ type: "ack", received: message.received })] }
        : stay(connection);
    case "refused":
      return refuse(connection, refusalsByAgent[message.reason], message.detail, true);
    case "signal":
      if (connection.phase !== "joined" || connection.channel === "control") return stay(connection);
      return hearSignal(connection, message);
    case "stream":
      if (connection.phase !== "joined" || connection.channel === "control") return stay(connection);
      return hearStream(connection, message.stream);
  }
}

function welcome(
  connection: Connection,
  message: Extract<AgentAnswer, { type: "joined" }>,
  around: Surroundings,
): Step {
  const { resume, stream } = message;
  const { phase, accepted } = connection;
  const line = connection.line === undefined ? undefined : message.line;
  const again = accepted !== null && accepted.vmId === connection.vmId && accepted.resume === resume;
  const goesOn = !connection.line || connection.line.id === line?.id;
  const joined: Connection = {
    ...move(connection, "joined"),
    accepted: { vmId: connection.vmId!, resume, stream },
    told: null,
    line: line && { id: line.id, received: connection.line?.id === line.id ? connection.line.received : 0 },
    ...(goesOn ? {} : noSignals),
  };
  const said: ToPlayer[] = !again
    ? [
        {
          type: "welcome",
          resume,
          iceServers: around.iceServers(),
          stream,
          versions: protocolVersions,
          ...(line && { line }),
        },
      ]
    : line !== undefined
      ? [{ type: "resumed", line }, ...news(connection, stream)]
      : [];
  return {
    connection: joined.offer === null && joined.answered ? { ...joined, candidates: [] } : joined,
    outgoing: [...said.map(toPlayer), ...(phase === "joining" ? signals(joined) : [])],
  };
}

function hearStream(connection: Connection, stream: StreamInfo): Step {
  const { accepted } = connection;
  return {
    connection: { ...connection, accepted: accepted && { ...accepted, stream } },
    outgoing: news(connection, stream).map(toPlayer),
  };
}

/** What the stream runs at, where the player does not know: it may have changed while the link was away. */
function news({ accepted, line }: Connection, stream: StreamInfo): ToPlayer[] {
  const known = accepted === null || JSON.stringify(accepted.stream) === JSON.stringify(stream);
  // A player of version 1 has no such message.
  return known || line === undefined ? [] : [{ type: "stream", stream }];
}

function hearSignal(connection: Connection, { message, seq }: Extract<AgentAnswer, { type: "signal" }>): Step {
  const { offer, agentCandidates, answered, line } = connection;
  // What came before it is in order already, be it for an offer made through another socket.
  if (line !== undefined && seq !== undefined) {
    const settles = message.type === "answer" && message.to === offer?.seq;
    return {
      connection: settles ? { ...connection, offer: null, candidates: [], answered: true } : connection,
      outgoing: [toPlayer({ ...message, seq })],
    };
  }
  if (message.type === "answer") {
    if (offer === null) return stay(connection);
    return {
      connection: { ...connection, offer: null, candidates: [], answered: true, agentCandidates: [] },
      outgoing: [toPlayer(message), ...agentCandidates.map((candidate) => toPlayer({ type: "candidate", candidate }))],
    };
  }
  if (answered && offer === null) return { connection, outgoing: [toPlayer(message)] };
  if (agentCandidates.length >= signallingLimits.candidatesPerConnectionMax) return stay(connection);
  return { connection: { ...connection, agentCandidates: [...agentCandidates, message.candidate] }, outgoing: [] };
}
