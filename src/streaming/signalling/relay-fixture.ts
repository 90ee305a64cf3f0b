// Scripts for the rules' tests: what happens to one connection, and what the rules say to it.
import type { Session } from "../../contracts/session.js";
import type { StreamInfo } from "../../contracts/signalling.js";
import { type Connection, openConnection } from "./connection.js";
import { type AgentAnswer, type Incoming, type Outgoing, relay, type Surroundings } from "./relay.js";

export const connectionId = "connection-1";
export const ticket = { jti: "ticket-1", expiresAt: 1_000 };
export const stream: StreamInfo = {
  gameId: "demo",
  title: "Demo",
  asked: { width: 1280, height: 720, fps: 60 },
  mode: { width: 1280, height: 720, fps: 60 },
  encoder: "libx264",
  why: null,
  pointer: "relative",
};

export const sessionOn = (vmId: string | null, version = 1): Session => ({
  sessionId: "s_1",
  tenant: "acme",
  status: vmId === null ? "QUEUED" : "READY",
  gameId: "demo",
  presetId: "default-standard",
  cap: null,
  region: vmId === null ? null : "us-east-1",
  vmId,
  templateId: vmId === null ? null : "L4-90",
  provider: vmId === null ? null : "local",
  queue: vmId === null ? { position: 3, etaSeconds: 12, reason: "full" } : null,
  end: null,
  createdAt: "2026-01-01T00:00:00Z",
  readyAt: null,
  joinedAt: null,
  endedAt: null,
  version,
});
export const endedSession = (version: number): Session => ({
  ...sessionOn(null, version),
  status: "ENDED",
  queue: null,
  end: { reason: "idle", detail: "No input." },
});

export const candidate = (name: string) => ({ candidate: name, sdpMid: "0" });
export const offer: Incoming = { type: "player", message: { type: "offer", sdp: "the offer" } };
export const playerCandidate = (name: string): Incoming => ({
  type: "player",
  message: { type: "candidate", candidate: candidate(name) },
});
export const fromAgent = (message: AgentAnswer, vmId = "vm-1"): Incoming => ({ type: "agent", vmId, message });
export const joined = (resume = "resume-1", vmId = "vm-1") =>
  fromAgent({ type: "joined", connectionId, resume, stream }, vmId);
export const answer = fromAgent({ type: "signal", connectionId, message: { type: "answer", sdp: "the answer" } });
export const agentCandidate = (name: string) =>
  fromAgent({ type: "signal", connectionId, message: { type: "candidate", candidate: candidate(name) } });
export const admitted = (session: Session): Incoming => ({ type: "admitted", proof: ticket, line: undefined, session });
export const down = (vmId = "vm-1"): Incoming => ({ type: "link", vmId, up: false });
export const up = (vmId = "vm-1"): Incoming => ({ type: "link", vmId, up: true });

export const iceServers = [{ urls: ["turn:turn.example.org"], username: "1290:s_1", credential: "made now" }];

/** Plays a script; the links it names go up and down as it says, and are up at the start. */
export function play(script: readonly Incoming[], channel: Connection["channel"] = "signalling", away: string[] = []) {
  const gone = new Set(away);
  const around: Surroundings = {
    linked: (vmId) => !gone.has(vmId),
    iceServers: () => iceServers,
    nowSeconds: 990,
    newJti: () => "vouched",
  };
  let connection = openConnection({ sessionId: "s_1", connectionId, channel });
  const outgoing: Outgoing[] = [];
  for (const incoming of script) {
    if (incoming.type === "link") incoming.up ? gone.delete(incoming.vmId) : gone.add(incoming.vmId);
    const step = relay(connection, incoming, around);
    connection = step.connection;
    outgoing.push(...step.outgoing);
  }
  return { connection, outgoing, last: outgoing.at(-1) };
}

export const hello: Incoming = { type: "hello" };
export const untilJoined = [hello, admitted(sessionOn("vm-1")), joined()];
export const toTheAgent = (outgoing: readonly Outgoing[]) =>
  outgoing.flatMap((item) =>
    item.to !== "agent" ? [] : item.message.type === "signal" ? [item.message.message.type] : [item.message.type],
  );
export const toThePlayer = (outgoing: readonly Outgoing[]) =>
  outgoing.flatMap((item): (string | number)[] =>
    item.to !== "player" ? [] : "message" in item ? [item.message.type] : [item.close],
  );
