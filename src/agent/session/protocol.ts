// What a VM's supervisor and the child process of one session say to each other, over Node's IPC channel.
//
// The supervisor forks `session/main.js` with `{ serialization: "advanced" }` and the environment UV_THREADPOOL_SIZE=8
// (encoding, file and name look-ups share libuv's pool; its default of four lets them wait for one another). The child
// loads its native modules and says `prepared`: such a spare starts a session in milliseconds. One child plays one
// session, then ends; it also ends by itself, at once, when the channel closes, and within two seconds on SIGTERM.
//
// connectionId is the player's signalling connection, or the one that began its line. One player at a time: the connection whose media came up last
// plays, the one before it is closed. A lost signalling socket (`gone` on the agent link) is no reason for
// `disconnect`: media flows without it.
import { z } from "zod";
import { capabilities, gameProgram, videoMode } from "../../contracts/catalog.js";
import { seatSpec } from "../../contracts/orchestrator.js";
import { iceServer } from "../../contracts/session.js";
import { iceCandidate, sdp, streamInfo } from "../../contracts/signalling.js";

/** The child's argument that says: it has a room of its own (supervisor/room.ts), and may run real games. */
export const inRoom = "in-room";

const connectionId = z.string();

/** Where media may be sent from; defaults: every interface, any UDP port. */
export const mediaNetwork = z.object({
  bindAddress: z.string().optional(),
  portMin: z.int().optional(),
  portMax: z.int().optional(),
});

/** Supervisor → child. */
export const toChild = z.discriminatedUnion("type", [
  z
    .object({
      type: z.literal("probe"),
      programs: z.array(gameProgram).default([]),
      encoders: z.array(z.string()).optional().describe("Only these; default: every one there is a driver for"),
    })
    .describe("Measure this machine, before any session, and look for these games: answered by `probed`"),
  z
    .object({ type: z.literal("prepare"), gameId: z.string(), mode: videoMode })
    .describe("A session of about this kind will follow: what can be done ahead for it is; answered by `ready`"),
  z.object({ type: z.literal("start"), seat: seatSpec, capabilities, network: mediaNetwork.default({}) }),
  z
    .object({ type: z.literal("connect"), connectionId, iceServers: z.array(iceServer) })
    .describe("A player will offer under this id"),
  z
    .object({ type: z.literal("ice-servers"), connectionId, iceServers: z.array(iceServer) })
    .describe("New TURN credentials, for its next offer"),
  z.object({
    type: z.literal("offer"),
    connectionId,
    sdp: z.string(),
    number: z.int().optional().describe("Its answer's `to`"),
  }),
  z.object({ type: z.literal("candidate"), connectionId, candidate: iceCandidate }),
  z
    .object({ type: z.literal("control"), input: z.custom<Uint8Array>((value) => value instanceof Uint8Array) })
    .describe("A message of the player's control socket: it goes to the connection that plays"),
  z
    .object({ type: z.literal("disconnect"), connectionId, bye: z.boolean() })
    .describe("Close it; `bye`: the player left for good, reported as `left`, else as `disconnected`"),
  z.object({ type: z.literal("stop") }).describe("End now"),
]);
export type ToChild = z.infer<typeof toChild>;
/** As it is sent: with defaults left out. */
export type ToChildInput = z.input<typeof toChild>;

/** Child → supervisor. */
export const fromChild = z.discriminatedUnion("type", [
  z.object({ type: z.literal("prepared") }),
  z.object({ type: z.literal("probed"), capabilities }),
  z.object({ type: z.literal("ready") }),
  z.object({
    type: z.literal("started"),
    stream: streamInfo,
    notes: z.array(z.string()).default([]).describe("What the operator should know of how the game runs here"),
  }),
  z
    .object({ type: z.literal("stream"), stream: streamInfo })
    .describe("What it runs at has changed: another encoder, or another mode"),
  z
    .object({ type: z.literal("failed"), detail: z.string() })
    .describe("It cannot start or probe; the child ends after it"),
  z.object({ type: z.literal("answer"), connectionId, sdp, to: z.int().optional() }),
  z.object({ type: z.literal("candidate"), connectionId, candidate: iceCandidate }),
  z
    .object({
      type: z.literal("refused"),
      connectionId,
      reason: z.enum(["bad-offer", "session-failed"]),
      detail: z.string(),
    })
    .describe("The offer cannot be answered; bad-offer: it is the offer's fault, the next one like it fares no better"),
  z
    .object({
      type: z.literal("state"),
      state: z.enum(["connected", "disconnected", "idle", "left", "game-exited", "stream-failed"]),
      connectionId: connectionId.nullable().describe("Whose; null for what concerns the game"),
      detail: z.string().max(500),
    })
    .describe("After game-exited and stream-failed the child ends"),
]);
export type FromChild = z.infer<typeof fromChild>;
