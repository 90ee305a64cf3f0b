// The orchestrator's endpoints that are the agents' own: enrolling, tokens, what the catalogue has, heartbeats.
import * as z from "zod";
import { gameProgram } from "./catalog.js";
import { seatSpec, sessionId, vmId, vmStatus } from "./orchestrator.js";
import { route } from "./route.js";
import { text } from "./text.js";

const base = "/api/orchestrator/v1";
const vmParams = z.object({ vmId });
const launchEpoch = z.int().min(0).describe("Which launch of the VM the agent was started by: another one's is fenced");

export const agentRoutes = {
  enrol: route({
    method: "POST",
    path: `${base}/vm/:vmId/enrol`,
    operationId: "enrolAgent",
    tag: "orchestrator",
    summary: "Trade the bootstrap token for a key of the agent's own (once)",
    callers: ["bootstrap"],
    params: vmParams,
    body: z.strictObject({
      publicKey: z
        .strictObject({
          kty: z.literal("OKP"),
          crv: z.literal("Ed25519"),
          x: z.string().regex(/^[A-Za-z0-9_-]{43}$/, "32 bytes in base64url"),
        })
        .describe("Ed25519 public key as a JWK (RFC 8037)"),
      epoch: launchEpoch.optional(),
    }),
    responses: {
      200: {
        description: "A token for this VM's calls",
        schema: z.object({ token: z.string(), expiresInSeconds: z.int() }),
      },
    },
  }),
  renew: route({
    method: "POST",
    path: `${base}/vm/:vmId/token`,
    operationId: "renewAgentToken",
    tag: "orchestrator",
    summary: "A fresh token, by proof of the agent's key",
    callers: ["anyone"],
    params: vmParams,
    body: z.strictObject({
      proof: text(2_000).describe("EdDSA JWT by the agent's key: sub = vmId, aud = hotseat-renew, exp ≤ 60 s"),
      epoch: launchEpoch.optional(),
    }),
    responses: {
      200: { description: "The token", schema: z.object({ token: z.string(), expiresInSeconds: z.int() }) },
    },
  }),
  programs: route({
    method: "GET",
    path: `${base}/vm/:vmId/programs`,
    operationId: "listPrograms",
    tag: "orchestrator",
    summary: "The catalogue's real games, for the agent to look which of them its machine can run",
    callers: ["agent"],
    params: vmParams,
    responses: { 200: { description: "The programs", schema: z.object({ programs: z.array(gameProgram) }) } },
  }),
  heartbeat: route({
    method: "POST",
    path: `${base}/vm/:vmId/heartbeat`,
    operationId: "heartbeat",
    tag: "orchestrator",
    summary: "Renew the agent's lease; the answer is what must be running on the VM now",
    callers: ["agent"],
    params: vmParams,
    body: z.strictObject({
      sessions: z.array(sessionId).max(64).describe("What runs there"),
      version: z.int().optional().describe("Of the desired state the agent knows, as an earlier answer named it"),
    }),
    responses: {
      200: {
        description: "The desired state",
        schema: z.object({
          status: vmStatus,
          leaseSeconds: z.number(),
          version: z.int(),
          seats: z.array(seatSpec).optional().describe("Left out where the agent knows them: the version is the same"),
        }),
      },
    },
  }),
} as const;
