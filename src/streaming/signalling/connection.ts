// One player connection (a signalling or control socket) as data: its states, its one table, and what it holds.

import type { LineState } from "../../contracts/line.js";
import type { Session } from "../../contracts/session.js";
import type { FromPlayer, IceCandidate, StreamInfo, ToAgent, ToPlayer } from "../../contracts/signalling.js";

export type Phase = "awaiting-hello" | "checking" | "waiting" | "joining" | "joined" | "closed";

/**
 * `hello` was said and is being checked; `admitted`: it is genuine; `join` was sent to the agent; `joined`: the agent
 * accepted; `unlinked`: the agent's link, or the seat itself, is away; `close`: this end or the other closes the socket.
 */
export const connectionTransitions = {
  "awaiting-hello": { hello: "checking", close: "closed" },
  checking: { admitted: "waiting", close: "closed" },
  waiting: { join: "joining", close: "closed" },
  joining: { joined: "joined", unlinked: "waiting", close: "closed" },
  // An agent that was asked twice, because its first answer waited out a broken link, answers twice.
  joined: { joined: "joined", unlinked: "waiting", close: "closed" },
  closed: {},
} as const satisfies Record<Phase, Partial<Record<string, Phase>>>;

export type ConnectionEvent = "hello" | "admitted" | "join" | "joined" | "unlinked" | "close";
export type Proof = Extract<ToAgent, { type: "join" }>["proof"];
export type Progress = Extract<ToPlayer, { type: "progress" }>;
export type Offer = Extract<FromPlayer, { type: "offer" }>;
export type Candidate = Extract<FromPlayer, { type: "candidate" }>;
/** Of a player's hello: its line, null before it knows one, undefined when it numbers nothing. */
export type PlayersLine = LineState | null | undefined;

export interface Connection {
  readonly sessionId: string;
  readonly connectionId: string;
  readonly channel: "signalling" | "control";
  readonly phase: Phase;
  /** What the player proved at the door; null before. */
  readonly proof: Proof | null;
  /** The newest state known of the session; null before the door. */
  readonly session: Session | null;
  /** Where it joins, has joined, or waits for the link of; null without a seat. */
  readonly vmId: string | null;
  /** What an agent accepted it with: the agent's VM, the resume secret it gave, and the stream. */
  readonly accepted: { readonly vmId: string; readonly resume: string; readonly stream: StreamInfo } | null;
  /** Kept up to date by what passes; undefined too when the agent numbers nothing. */
  readonly line: PlayersLine;
  /** The player's newest offer, kept until it is answered, so that a broken link loses nothing. */
  readonly offer: Offer | null;
  /** The player's candidates that belong to the unanswered offer, or to one still to come. */
  readonly candidates: readonly Candidate[];
  /** How many candidates came since the last offer. */
  readonly candidatesSeen: number;
  /** Whether an offer was answered on this VM: only then do candidates of either side make sense without an offer. */
  readonly answered: boolean;
  /** The agent's candidates that came before its answer, where nothing is numbered. */
  readonly agentCandidates: readonly IceCandidate[];
  readonly told: Progress | null;
}

export const openConnection = (id: Pick<Connection, "sessionId" | "connectionId" | "channel">): Connection => ({
  ...id,
  phase: "awaiting-hello",
  proof: null,
  session: null,
  vmId: null,
  accepted: null,
  line: undefined,
  offer: null,
  candidates: [],
  candidatesSeen: 0,
  answered: false,
  agentCandidates: [],
  told: null,
});

/** Whether its player is known to be the session's: it had a genuine ticket, or an agent accepted its resume secret. */
export const isProved = ({ accepted, proof }: Connection): boolean =>
  accepted !== null || (proof !== null && "jti" in proof);

export const mayMove = (connection: Connection, event: ConnectionEvent): boolean =>
  Object.hasOwn(connectionTransitions[connection.phase], event);

/** @throws Error when the table does not have it: the caller's fault, never the player's. */
export function move(connection: Connection, event: ConnectionEvent): Connection {
  const row: Partial<Record<ConnectionEvent, Phase>> = connectionTransitions[connection.phase];
  const phase = row[event];
  if (phase === undefined) throw new Error(`a connection that is ${connection.phase} cannot ${event}`);
  return { ...connection, phase };
}
