// What streaming nodes say to each other over the bus (platform/bus.ts), in JSON, but for input.
//
// Who speaks and of which VM stands in the subject, and only there: `<prefix>.announce.<node>` for all,
// `<prefix>.node.<node>.ask` for one that answers, `<prefix>.node.<node>.agent.<VM>` what goes to the agent linked there
// (a `toAgent`), `….input.<VM>` the same for control input (signalling.ts, `controlPrefix`), `….player.<VM>` what that VM's
// agent says to a player of that node (a `fromAgent` with a connection).
import * as z from "zod";
import { httpUrl } from "./http-url.js";
import { sessionId, vmId } from "./orchestrator.js";
import { session } from "./session.js";

/** Made anew at each start. */
export const nodeId = z.string().regex(/^[A-Za-z0-9_-]{8,32}$/);

const version = z.int().min(0).describe("Of the node's links: one more with every change");
const epoch = z.int().min(0).describe("Which launch of the VM");
const dialledAtMs = z.number().describe("When the agent dialled, by its own clock");

export const announcement = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("beat"),
    connection: z.int().min(0).describe("Of its connections to the bus: one more with each"),
    version,
    url: httpUrl.describe("How browsers reach it"),
  }),
  z.object({ type: z.literal("link"), version, vmId, link: z.object({ epoch, dialledAtMs }).nullable() }),
  z.object({ type: z.literal("bye") }),
]);
export type Announcement = z.infer<typeof announcement>;

export const question = z.discriminatedUnion("type", [
  z.object({ type: z.literal("alive") }).describe("Answered by anything"),
  z.object({ type: z.literal("links"), after: z.string().max(64) }).describe("Those of VMs after this id"),
  z.object({ type: z.literal("status"), session }).describe("Of the session's players at that node: a StreamStatus"),
  z
    .object({ type: z.literal("players"), sessionId })
    .describe("How many signalling sockets it has there, and one more while its player may yet be back"),
]);
export type Question = z.infer<typeof question>;

export const linksPage = z.object({
  version,
  links: z.array(z.tuple([vmId, epoch, dialledAtMs])),
  more: z.boolean(),
});

export const playersThere = z.object({ players: z.int().min(0) });
