// What players, streaming-ingest and agents say to each other over WebSocket, in JSON text messages of ≤ 64 KiB.
//
// The browser offers, the agent answers (an agent that offers loses a DTLS race in Chromium). Ingest relays and decides
// nothing: it checks that a ticket is genuine, the agent consumes its `jti` and hands out the resume secret.
import * as z from "zod";
import { pointerMode, videoMode } from "./catalog.js";
import { latencyReport } from "./latency.js";
import { lineState, received, seq } from "./line.js";
import { sessionId } from "./orchestrator.js";
import { problemDocument } from "./problems.js";
import { endReason, iceServer, sessionStatus } from "./session.js";
import { text } from "./text.js";

export const signallingLimits = {
  messageBytesMax: 64 * 1024,
  helloMsMax: 10_000,
  pingMs: 5_000,
  silenceMsMax: 15_000,
  messagesPerSecondMax: 50,
  controlMessagesPerSecondMax: 2_000,
  agentMessagesPerSecondMax: 2_000,
  bufferedBytesMax: 1024 * 1024,
  socketsPerSessionMax: 8,
  candidatesPerConnectionMax: 100,
} as const;

/**
 * Versions of what is said here. 1: nothing is numbered. 2: what page and agent say to each other is numbered, acked and
 * said again after a break (line.ts). An end that names no version speaks 1; ingest serves ends of all these versions at
 * once, and adds fields and messages for those only that can read them. What an older end would misunderstand takes a
 * new version; the oldest is given up with a major release.
 */
export const protocolVersions = { oldest: 1, newest: 2 } as const;

/** On the agent's upgrade request. */
export const versionHeader = "hotseat-protocol";

/** WebSocket close codes (4000–4999 are the application's, RFC 6455 §7.4.2). */
export const closeCodes = {
  ended: 4000,
  badMessage: 4400,
  unauthenticated: 4401,
  forbidden: 4403,
  notFound: 4404,
  helloTimeout: 4408,
  takenOver: 4409,
  unsupportedVersion: 4426,
  tooFast: 4429,
  unavailable: 4503,
} as const;

export const sdp = z.string().min(1).max(60_000).describe("A session description (RFC 8866)");

export const iceCandidate = z.strictObject({
  candidate: z.string().max(1_000).describe("`RTCIceCandidate.candidate`"),
  sdpMid: z.string().max(64).nullable().describe("The media section it is for"),
});
export type IceCandidate = z.infer<typeof iceCandidate>;

const version = z
  .int()
  .min(protocolVersions.oldest)
  .max(protocolVersions.newest)
  .optional()
  .describe("Of this protocol, as the player speaks it; absent: 1");

/** A first message: a ticket (first time) or the resume secret of an earlier welcome. */
export const hello = z.union([
  z.strictObject({
    type: z.literal("hello"),
    version,
    ticket: z.string().max(2_000).describe("Of the HTTP answer; the signalling socket only"),
  }),
  z.strictObject({
    type: z.literal("hello"),
    version,
    resume: z.string().max(200).describe("The newest `welcome`'s"),
    line: lineState.optional().describe("The line to go on with, of version 2; absent: a page that knows none yet"),
  }),
]);
export type Hello = z.infer<typeof hello>;

/** As much as is asked of a hello before its form: one of a version to come may have any. */
export const helloVersion = z.object({ type: z.literal("hello"), version: z.int() });

/** What either end of the WebRTC connection says to the other. */
const offer = z.strictObject({ type: z.literal("offer"), sdp }).describe("A newer one replaces the connection");
const answer = z
  .strictObject({
    type: z.literal("answer"),
    sdp,
    to: seq.optional().describe("The offer's number; absent where that had none: then it is to the newest offer"),
  })
  .describe("To an offer");
const candidate = z
  .strictObject({ type: z.literal("candidate"), candidate: iceCandidate })
  .describe("A way to this end, as soon as it is found");

const numbered = { seq: seq.optional() };

/** Player → ingest, after the hello. */
export const fromPlayer = z.discriminatedUnion("type", [
  offer.extend(numbered).describe(offer.description!),
  candidate.extend(numbered).describe(candidate.description!),
  z.strictObject({ type: z.literal("bye"), ...numbered }).describe("The player ends the session"),
  z.strictObject({ type: z.literal("ack"), received }).describe("To the machine, for what is numbered"),
  z
    .strictObject({ type: z.literal("report"), ...latencyReport.shape })
    .describe("How long things take at the player's, every 5 s while media flows; for people and metrics"),
  z.strictObject({ type: z.literal("ping") }).describe("Answered by `pong`"),
]);
export type FromPlayer = z.infer<typeof fromPlayer>;

/** What the session really runs at, and why when that is below what was asked. */
export const streamInfo = z.object({
  gameId: z.string(),
  title: z.string(),
  asked: videoMode.describe("Pixels, and frames per second"),
  mode: videoMode.describe("What it runs at"),
  encoder: z.string().describe("FFmpeg's name of it"),
  why: z.string().nullable().describe("Why `mode` is below `asked`, or the encoder another than at first, in words"),
  pointer: pointerMode.describe("By the mouse's motion (the page locks the pointer), or by where it points"),
});
export type StreamInfo = z.infer<typeof streamInfo>;

/** What a player waits for. */
export const progress = z.object({
  status: sessionStatus,
  step: z.enum(["finding-seat", "starting-machine", "connecting"]),
  position: z.int().nullable().describe("Place in the queue, from 1"),
  etaSeconds: z.number().nullable().describe("Until the seat, as expected; null: unknown"),
  reason: z.string().nullable().describe("Why it waits, in words"),
});
export type Progress = z.infer<typeof progress>;

/** Ingest → player. */
export const toPlayer = z.discriminatedUnion("type", [
  z.object({ type: z.literal("progress"), ...progress.shape }).describe("At every change until the welcome"),
  z
    .object({
      type: z.literal("welcome"),
      resume: z.string().describe("The secret to come back with; it replaces an earlier one"),
      iceServers: z.array(iceServer),
      stream: streamInfo,
      versions: z.object({ oldest: z.int(), newest: z.int() }).describe("What this ingest speaks"),
      line: lineState.optional().describe("How far the machine has heard; absent: its agent, or the player, speaks 1"),
    })
    .describe("The machine has accepted the player: offers are answered from now on"),
  answer.extend(numbered).describe(answer.description!),
  candidate.extend(numbered).describe(candidate.description!),
  z.object({ type: z.literal("ack"), received }).describe("The machine's, for what is numbered"),
  z
    .object({ type: z.literal("resumed"), line: lineState })
    .describe("The way to the machine was away and is back: what it has not heard is to be said again"),
  z
    .object({ type: z.literal("stream"), stream: streamInfo })
    .describe(
      "Since version 2: what the stream runs at has changed. The machine, its encoder or the network holds no more, or does again",
    ),
  z
    .object({ type: z.literal("ice-servers"), iceServers: z.array(iceServer) })
    .describe("New TURN credentials, before those of the welcome end; for the next connection, the one there is stays"),
  z
    .object({ type: z.literal("ended"), reason: endReason, detail: z.string().describe("For people") })
    .describe("The session is over; the socket closes after it"),
  z.object({ type: z.literal("problem"), problem: problemDocument }).describe("The socket closes after it"),
  z.object({ type: z.literal("pong") }),
]);
export type ToPlayer = z.infer<typeof toPlayer>;

const connectionId = z.string().min(8).max(64).describe("A player's socket, named by ingest");

/** Ingest → agent. One agent link carries every connection to its VM. */
export const toAgent = z.discriminatedUnion("type", [
  z
    .object({
      type: z.literal("join"),
      sessionId,
      connectionId,
      channel: z.enum(["signalling", "control"]).describe("Which of its sockets"),
      proof: z.union([
        z.object({
          jti: z.string().describe("Of a genuine ticket: good once"),
          expiresAt: z.number().describe("Unix seconds"),
        }),
        z.object({ resume: z.string().describe("Or the secret of an earlier `joined`") }),
      ]),
      iceServers: z.array(iceServer),
      line: lineState
        .nullable()
        .optional()
        .describe("The player's line, null before it knows one; absent: it speaks version 1, and numbers nothing"),
    })
    .describe("A player wants in; a control join only resumes. Answered by `joined` or `refused`"),
  z
    .object({
      type: z.literal("signal"),
      sessionId,
      connectionId,
      message: z.discriminatedUnion("type", [offer, candidate]),
      ...numbered,
    })
    .describe("What the player says to the machine"),
  z
    .object({ type: z.literal("ice-servers"), sessionId, connectionId, iceServers: z.array(iceServer) })
    .describe("New TURN credentials, for the connection's next offer"),
  z.object({ type: z.literal("bye"), sessionId, connectionId, ...numbered }).describe("The player ends the session"),
  z
    .object({ type: z.literal("ack"), sessionId, connectionId, received })
    .describe("The player's, for what is numbered"),
  z.object({ type: z.literal("gone"), sessionId, connectionId }).describe("Its socket closed"),
  z.object({ type: z.literal("ping") }).describe("Answered by `pong`"),
]);
export type ToAgent = z.infer<typeof toAgent>;

/** Agent → ingest. */
export const fromAgent = z.discriminatedUnion("type", [
  z
    .object({
      type: z.literal("joined"),
      connectionId,
      resume: z.string().describe("The player's next secret"),
      stream: streamInfo,
      line: lineState.optional().describe("To a join that has one or null: the line from now on"),
    })
    .describe("The connection is accepted"),
  z
    .object({
      type: z.literal("refused"),
      connectionId,
      reason: z.enum(["ticket-used", "resume-wrong", "no-such-session", "bad-offer", "session-failed", "taken-over"]),
      detail: z.string().describe("For people"),
    })
    .describe("Also ends a connection that had been accepted"),
  z
    .object({
      type: z.literal("signal"),
      connectionId,
      message: z.discriminatedUnion("type", [answer, candidate]),
      ...numbered,
    })
    .describe("What the machine says to the player"),
  z.object({ type: z.literal("ack"), connectionId, received }).describe("The machine's, for what is numbered"),
  z
    .object({ type: z.literal("stream"), connectionId, stream: streamInfo })
    .describe("What the stream runs at has changed since the connection was accepted"),
  z
    .object({
      type: z.literal("session"),
      sessionId,
      state: z.enum(["connected", "disconnected", "idle", "left", "game-exited", "stream-failed"]),
      detail: text(500).optional().describe("For people"),
    })
    .describe("What became of the player's media or of the game; the newest is said again on every new link"),
  z.object({ type: z.literal("pong") }),
]);
export type FromAgent = z.infer<typeof fromAgent>;

const encoder = new TextEncoder();
const decoder = new TextDecoder("latin1");

/**
 * Input on the control WebSocket is binary: the bytes of input.ts. On the agent link ingest prefixes them with the
 * connection's id: one length byte, the id in ASCII, then the input message. The prefix is made once a connection, since
 * the encoder would cost more than the rest of the way.
 */
export function controlPrefix(connectionId: string): Uint8Array {
  const id = encoder.encode(connectionId);
  return Uint8Array.of(id.length, ...id);
}

/** The inverse; null when the bytes are not such a frame. */
export function unframeControl(framed: Uint8Array): { connectionId: string; input: Uint8Array } | null {
  const length = framed[0] ?? 0;
  if (length === 0 || framed.length <= 1 + length) return null;
  return {
    connectionId: decoder.decode(framed.subarray(1, 1 + length)),
    input: framed.subarray(1 + length),
  };
}
