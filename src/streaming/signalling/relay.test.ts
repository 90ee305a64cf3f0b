import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Session } from "../../contracts/session.js";
import { closeCodes, signallingLimits, toAgent, toPlayer } from "../../contracts/signalling.js";
import { connectionTransitions } from "./connection.js";
import type { Incoming, Outgoing } from "./relay.js";
import {
  admitted,
  agentCandidate,
  answer,
  connectionId,
  down,
  endedSession,
  fromAgent,
  hello,
  iceServers,
  joined,
  offer,
  play,
  playerCandidate,
  sessionOn,
  stream,
  ticket,
  toTheAgent,
  toThePlayer,
  untilJoined,
  up,
} from "./relay-fixture.js";

describe("signalling", () => {
  it("joins the agent when the ticket is genuine, and welcomes the player when the agent does", () => {
    const { outgoing } = play(untilJoined);
    expect(toTheAgent(outgoing)).toEqual(["join"]);
    expect(outgoing.find((item) => item.to === "agent")).toMatchObject({
      vmId: "vm-1",
      message: { type: "join", proof: { jti: "ticket-1" }, channel: "signalling" },
    });
    expect(toThePlayer(outgoing)).toEqual(["progress", "welcome"]);
  });

  it("tells a waiting player its place, then that the machine starts, then that it connects", () => {
    const starting: Session = { ...sessionOn(null, 2), status: "PROVISIONING" };
    const { outgoing } = play([
      hello,
      admitted(sessionOn(null)),
      { type: "session", session: starting },
      { type: "session", session: { ...starting, version: 3 } },
      { type: "session", session: sessionOn("vm-1", 4) },
    ]);
    expect(outgoing.flatMap((item) => (item.to === "player" && "message" in item ? [item.message] : []))).toMatchObject(
      [
        { step: "finding-seat", position: 3, etaSeconds: 12, reason: "full" },
        { step: "starting-machine" },
        { step: "connecting", position: null },
      ],
    );
    expect(toTheAgent(outgoing)).toEqual(["join"]);
  });

  it("passes an accepted player's latency report on, also while the agent's link is away, and nobody else's", () => {
    const session = {
      inputs: 1,
      frames: 600,
      skipped: 0,
      heldBack: 0,
      stages: { total: { p50: 31, p95: 40, p99: 52 } },
    };
    const latency = { control: "data-channel" as const, recent: null, session };
    const report: Incoming = { type: "player", message: { type: "report", ...latency } };
    const passed = { to: "status", latency };
    expect(play([...untilJoined, report]).last).toEqual(passed);
    expect(play([...untilJoined, down(), report]).last).toEqual(passed);
    expect(play([hello, admitted(sessionOn("vm-1")), report]).outgoing).not.toContainEqual(passed);
  });

  it("waits for the agent's link when the seat is there first", () => {
    const early = play([hello, admitted(sessionOn("vm-1"))], "signalling", ["vm-1"]);
    expect(toTheAgent(early.outgoing)).toEqual([]);
    const { outgoing } = play([hello, admitted(sessionOn("vm-1")), up()], "signalling", ["vm-1"]);
    expect(toTheAgent(outgoing)).toEqual(["join"]);
  });

  it("gives both ends new TURN credentials once the player was welcomed, and not before", () => {
    const aged: Incoming = { type: "credentials-age" };
    const early = play([hello, admitted(sessionOn("vm-1")), aged]);
    expect(toThePlayer(early.outgoing)).toEqual(["progress"]);
    const { outgoing } = play([...untilJoined, aged]);
    expect(outgoing.slice(-2)).toEqual([
      { to: "player", message: { type: "ice-servers", iceServers } },
      { to: "agent", vmId: "vm-1", message: { type: "ice-servers", sessionId: "s_1", connectionId, iceServers } },
    ]);
  });

  it("gives the player new TURN credentials while the agent's link is away, and the agent at its next join", () => {
    const { outgoing } = play([...untilJoined, down(), { type: "credentials-age" }, up()]);
    expect(toThePlayer(outgoing)).toEqual(["progress", "welcome", "ice-servers"]);
    expect(toTheAgent(outgoing)).toEqual(["join", "join"]);
    expect(outgoing.at(-1)).toMatchObject({ message: { type: "join", iceServers } });
  });

  it("gives the control socket no TURN credentials: it opens no connection", () => {
    const { outgoing } = play([...untilJoined, { type: "credentials-age" }], "control");
    expect(toThePlayer(outgoing)).not.toContain("ice-servers");
    expect(toTheAgent(outgoing)).not.toContain("ice-servers");
  });

  it("holds an offer made before the welcome, and candidates with it", () => {
    const { outgoing } = play([hello, offer, playerCandidate("a"), admitted(sessionOn("vm-1")), joined()]);
    expect(toTheAgent(outgoing)).toEqual(["join", "offer", "candidate"]);
  });

  it("holds a candidate that arrives before the offer, and does not lose it", () => {
    const { outgoing } = play([...untilJoined, playerCandidate("a"), playerCandidate("b"), offer]);
    expect(toTheAgent(outgoing)).toEqual(["join", "offer", "candidate", "candidate"]);
  });

  it("holds the agent's candidates until its answer", () => {
    const { outgoing } = play([...untilJoined, offer, agentCandidate("a"), answer, agentCandidate("b")]);
    expect(toThePlayer(outgoing)).toEqual(["progress", "welcome", "answer", "candidate", "candidate"]);
  });

  it("passes over candidates beyond the limit of one offer", () => {
    const many = Array.from({ length: signallingLimits.candidatesPerConnectionMax + 5 }, (_, i) =>
      playerCandidate(`${i}`),
    );
    const { outgoing } = play([...untilJoined, offer, ...many]);
    expect(toTheAgent(outgoing).filter((type) => type === "candidate")).toHaveLength(
      signallingLimits.candidatesPerConnectionMax,
    );
  });

  it("closes nothing when the agent's link goes, and joins again by the resume secret when it is back", () => {
    const lost = play([...untilJoined, offer, answer, down()]);
    expect(lost.connection.phase).toBe("waiting");
    expect(toThePlayer(lost.outgoing)).toEqual(["progress", "welcome", "answer"]);
    const back = play([...untilJoined, offer, answer, down(), playerCandidate("late"), up(), joined()]);
    expect(back.outgoing.filter((item) => item.to === "agent" && item.message.type === "join").at(-1)).toMatchObject({
      message: { proof: { resume: "resume-1" }, connectionId },
    });
    expect(toTheAgent(back.outgoing)).toEqual(["join", "offer", "join", "candidate"]);
    expect(toThePlayer(back.outgoing)).toEqual(["progress", "welcome", "answer"]);
  });

  it("sends an unanswered offer again when the link that carried it is back", () => {
    const { outgoing } = play([...untilJoined, offer, playerCandidate("a"), down(), up(), joined()]);
    expect(toTheAgent(outgoing)).toEqual(["join", "offer", "candidate", "join", "offer", "candidate"]);
  });

  it("takes its connection along when the session moves to another VM", () => {
    const { outgoing, connection } = play([
      ...untilJoined,
      offer,
      answer,
      { type: "session", session: sessionOn(null, 2) },
      { type: "session", session: sessionOn("vm-2", 3) },
      joined("resume-2", "vm-2"),
    ]);
    expect(connection.phase).toBe("joined");
    expect(outgoing.filter((item) => item.to === "agent").map(({ vmId, message }) => [vmId, message.type])).toEqual([
      ["vm-1", "join"],
      ["vm-1", "signal"],
      ["vm-1", "gone"],
      ["vm-2", "join"],
    ]);
    expect(outgoing.findLast((item) => item.to === "agent")).toMatchObject({ message: { proof: { jti: "vouched" } } });
    expect(toThePlayer(outgoing)).toEqual(["progress", "welcome", "answer", "progress", "progress", "welcome"]);
  });

  it("says why a session ended, then closes", () => {
    const { outgoing } = play([...untilJoined, { type: "session", session: endedSession(2) }]);
    expect(toThePlayer(outgoing).slice(-2)).toEqual(["ended", closeCodes.ended]);
    expect(toTheAgent(outgoing)).toEqual(["join", "gone"]);
  });

  it("passes over an older state of the session", () => {
    const { last } = play([hello, admitted(sessionOn("vm-1", 5)), { type: "session", session: sessionOn(null, 4) }]);
    expect(last).toMatchObject({ to: "agent", message: { type: "join" } });
  });

  it.each([
    ["ticket-used", closeCodes.unauthenticated],
    ["resume-wrong", closeCodes.unauthenticated],
    ["no-such-session", closeCodes.notFound],
    ["bad-offer", closeCodes.badMessage],
    ["session-failed", closeCodes.unavailable],
    ["taken-over", closeCodes.takenOver],
  ] as const)("closes with the documented code when the agent refuses: %s", (reason, code) => {
    const { outgoing } = play([...untilJoined, fromAgent({ type: "refused", connectionId, reason, detail: "no" })]);
    expect(toThePlayer(outgoing).slice(-2)).toEqual(["problem", code]);
    expect(toTheAgent(outgoing)).toEqual(["join"]);
  });

  it("does not listen to another VM's agent", () => {
    const { connection } = play([
      ...untilJoined,
      fromAgent({ type: "refused", connectionId, reason: "taken-over", detail: "" }, "vm-2"),
    ]);
    expect(connection.phase).toBe("joined");
  });

  it("gives a bye to the agent, or to the session service while there is none", () => {
    const bye: Incoming = { type: "player", message: { type: "bye" } };
    expect(toTheAgent(play([...untilJoined, bye]).outgoing)).toEqual(["join", "bye"]);
    expect(play([hello, admitted(sessionOn(null)), bye]).last).toEqual({
      to: "session",
      report: { vmId: null, state: "left", detail: "The player left." },
    });
  });

  it("does not end a session for a resume secret nobody has checked", () => {
    const { outgoing } = play([
      hello,
      { type: "admitted", proof: { resume: "a guess" }, line: undefined, session: sessionOn(null) },
      { type: "player", message: { type: "bye" } },
    ]);
    expect(outgoing.some((item) => item.to === "session")).toBe(false);
  });
});

describe("a control socket", () => {
  it("joins by its resume secret and takes no signalling", () => {
    const { outgoing } = play(
      [
        hello,
        { type: "admitted", proof: { resume: "r" }, line: undefined, session: sessionOn("vm-1") },
        joined(),
        offer,
      ],
      "control",
    );
    expect(outgoing[0]).toMatchObject({ message: { type: "join", channel: "control", proof: { resume: "r" } } });
    expect(toThePlayer(outgoing)).toEqual(["welcome", "problem", closeCodes.badMessage]);
  });

  it("closes when the session moves, since the new machine gives a new secret", () => {
    const { outgoing } = play([...untilJoined, { type: "session", session: sessionOn("vm-2", 2) }], "control");
    expect(toThePlayer(outgoing)).toEqual(["welcome", "problem", closeCodes.unavailable]);
    expect(toTheAgent(outgoing)).toEqual(["join", "gone"]);
  });
});

const anyVm = fc.constantFrom("vm-1", "vm-2");
const anyName = fc.string({ maxLength: 5 });
const anyIncoming: fc.Arbitrary<Incoming> = fc.oneof(
  fc.constantFrom<Incoming>(hello, offer, answer, { type: "socket-closed" }),
  fc.constantFrom<Incoming>(
    { type: "player", message: { type: "bye" } },
    { type: "player", message: { type: "ping" } },
    { type: "admitted", proof: { resume: "r" }, line: undefined, session: sessionOn("vm-1") },
    admitted(sessionOn("vm-1")),
    admitted(sessionOn(null)),
    { type: "refuse", refusal: "tooFast", detail: "slower" },
  ),
  anyName.map(playerCandidate),
  anyName.map(agentCandidate),
  fc.constantFrom<Incoming>(
    { type: "admitted", proof: { resume: "r" }, line: null, session: sessionOn("vm-1") },
    { type: "admitted", proof: ticket, line: { id: "line-of-vm-1", received: 3 }, session: sessionOn("vm-1") },
    { type: "player", message: { type: "ack", received: 5 } },
    fromAgent({ type: "ack", connectionId, received: 5 }),
  ),
  fc.nat(9).map((seq): Incoming => ({ type: "player", message: { type: "offer", sdp: "o", seq: seq + 1 } })),
  fc.nat(9).map((seq): Incoming => ({ type: "player", message: { type: "bye", seq: seq + 1 } })),
  fc
    .tuple(fc.nat(9), anyVm, anyName)
    .map(([seq, vmId, sdp]) =>
      fromAgent(
        { type: "signal", connectionId, message: { type: "answer", sdp: `a${sdp}`, to: seq + 1 }, seq: seq + 1 },
        vmId,
      ),
    ),
  fc
    .tuple(anyVm, anyName)
    .map(([vmId, resume]) =>
      fromAgent({ type: "joined", connectionId, resume, stream, line: { id: `line-of-${vmId}`, received: 0 } }, vmId),
    ),
  fc.tuple(anyName, anyVm).map(([resume, vmId]) => joined(resume, vmId)),
  fc.tuple(fc.option(anyVm), fc.nat(20)).map(
    ([vmId, version]): Incoming => ({
      type: "session",
      session: sessionOn(vmId, version),
    }),
  ),
  fc.nat(40).map((version): Incoming => ({ type: "session", session: endedSession(version) })),
  fc.tuple(anyVm, fc.boolean()).map(([vmId, isUp]): Incoming => ({ type: "link", vmId, up: isUp })),
);
// Mostly lives that get somewhere: random order alone rarely leaves the door.
const anyScript = fc
  .tuple(fc.constantFrom<readonly Incoming[]>([], [hello], untilJoined), fc.array(anyIncoming, { maxLength: 40 }))
  .map(([start, rest]) => [...start, ...rest]);
const anyChannel = fc.constantFrom("signalling" as const, "control" as const);

describe("whatever happens, in whatever order", () => {
  it("never throws, and says only what the protocol has", () => {
    fc.assert(
      fc.property(anyScript, anyChannel, (script, channel) => {
        for (const item of play(script, channel).outgoing)
          if (item.to === "agent") toAgent.parse(item.message);
          else if (item.to === "player" && "message" in item) toPlayer.parse(item.message);
      }),
      { numRuns: 500 },
    );
  });

  it("signals an agent only between a join and a gone, and candidates only after an offer", () => {
    fc.assert(
      fc.property(anyScript, anyChannel, (script, channel) => {
        const knows = new Map<string, "joined" | "offered">();
        const around: Outgoing[] = play(script, channel).outgoing;
        const offered = new Set<string>();
        for (const item of around) {
          if (item.to !== "agent") continue;
          const { vmId, message } = item;
          if (message.type === "join") knows.set(vmId, "joined");
          else expect(knows.has(vmId)).toBe(true);
          if (message.type === "gone") {
            knows.delete(vmId);
            offered.delete(vmId);
          }
          if (message.type !== "signal") continue;
          if (message.message.type === "offer") offered.add(vmId);
          else expect(offered.has(vmId)).toBe(true);
        }
      }),
      { numRuns: 500 },
    );
  });

  it("closes at most once, says nothing after it, and is then closed for good", () => {
    fc.assert(
      fc.property(anyScript, anyChannel, (script, channel) => {
        const { outgoing, connection } = play(script, channel);
        const closed = outgoing.findIndex((item) => item.to === "player" && "close" in item);
        if (closed === -1) return;
        expect(connection.phase).toBe("closed");
        expect(outgoing.slice(closed + 1).filter((item) => item.to === "player")).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it("delivers every candidate of an offer to the agent once the connection rests joined", () => {
    const lives = fc.array(
      fc.oneof(
        fc.constantFrom<Incoming>(down(), up(), joined()),
        fc.nat(9).map((i) => playerCandidate(`${i}`)),
      ),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(lives, (script) => {
        const { outgoing } = play([...untilJoined, ...script, offer, ...script, down(), up(), joined()]);
        const sent = new Set(
          outgoing.flatMap((item) =>
            item.to === "agent" && item.message.type === "signal" && item.message.message.type === "candidate"
              ? [item.message.message.candidate.candidate]
              : [],
          ),
        );
        for (const incoming of script)
          if (incoming.type === "player" && incoming.message.type === "candidate")
            expect(sent).toContain(incoming.message.candidate.candidate);
      }),
    );
  });
});

describe("the connection's table", () => {
  it("lets every open state close", () => {
    for (const [phase, row] of Object.entries(connectionTransitions)) expect("close" in row).toBe(phase !== "closed");
  });
});
