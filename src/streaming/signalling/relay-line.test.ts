import { describe, expect, it } from "vitest";
import type { LineState } from "../../contracts/line.js";
import { protocolVersions, signallingLimits } from "../../contracts/signalling.js";
import type { Incoming, Outgoing } from "./relay.js";
import {
  admitted,
  candidate,
  connectionId,
  down,
  fromAgent,
  hello,
  joined,
  play,
  playerCandidate,
  sessionOn,
  stream,
  toTheAgent,
  toThePlayer,
  up,
} from "./relay-fixture.js";

describe("what is numbered", () => {
  const line = { id: "line-of-vm-1", received: 0 };
  const greeted = (its: LineState | null): Incoming => ({
    type: "admitted",
    proof: { resume: "resume-0" },
    line: its,
    session: sessionOn("vm-1"),
  });
  const accepted = (its: LineState = line, resume = "resume-1", vmId = "vm-1") =>
    fromAgent({ type: "joined", connectionId, resume, stream, line: its }, vmId);
  const numberedOffer = (seq: number): Incoming => ({ type: "player", message: { type: "offer", sdp: "o", seq } });
  const numberedCandidate = (seq: number): Incoming => ({
    type: "player",
    message: { type: "candidate", candidate: candidate(`${seq}`), seq },
  });
  const bye = (seq: number): Incoming => ({ type: "player", message: { type: "bye", seq } });
  const agentSays = (seq: number, to?: number): Incoming =>
    fromAgent({
      type: "signal",
      connectionId,
      message:
        to === undefined ? { type: "candidate", candidate: candidate(`${seq}`) } : { type: "answer", sdp: "a", to },
      seq,
    });
  const numbersTo = (end: "agent" | "player", outgoing: readonly Outgoing[]) =>
    outgoing.flatMap((item) =>
      item.to === end && "message" in item && "seq" in item.message && item.message.seq !== undefined
        ? [item.message.seq]
        : [],
    );

  it("passes in the order of its numbers, also what came before the welcome", () => {
    const { outgoing } = play([hello, numberedCandidate(1), numberedOffer(2), greeted(null), accepted(), bye(3)]);
    expect(outgoing.find((item) => item.to === "agent")).toMatchObject({ message: { type: "join", line: null } });
    expect(toTheAgent(outgoing)).toEqual(["join", "candidate", "offer", "bye"]);
    expect(numbersTo("agent", outgoing)).toEqual([1, 2, 3]);
    expect(
      outgoing.find((item) => item.to === "player" && "message" in item && item.message.type === "welcome"),
    ).toEqual(expect.objectContaining({ message: expect.objectContaining({ line, versions: protocolVersions }) }));
  });

  it("is not what has no number: such a candidate waits for its offer, as it does where nothing is numbered", () => {
    const { outgoing } = play([
      hello,
      playerCandidate("early"),
      greeted(null),
      accepted(),
      playerCandidate("later"),
      numberedOffer(1),
    ]);
    expect(toTheAgent(outgoing)).toEqual(["join", "offer", "candidate", "candidate"]);
  });

  it("comes with what the stream runs at when that changes, also while the agent's link was away", () => {
    const slower = { ...stream, mode: { ...stream.mode, fps: 30 }, why: "the encoder is slow" };
    const change = fromAgent({ type: "stream", connectionId, stream: slower });
    const welcomed = [hello, greeted(null), accepted()];
    const { outgoing } = play([...welcomed, change, change]);
    expect(toThePlayer(outgoing)).toEqual(["progress", "welcome", "stream"]);
    expect(outgoing.at(-1)).toEqual({ to: "player", message: { type: "stream", stream: slower } });
    const again = fromAgent({ type: "joined", connectionId, resume: "resume-1", stream: slower, line });
    const told = (script: readonly Incoming[]) => toThePlayer(play([...welcomed, down(), up(), ...script]).outgoing);
    expect(told([again])).toEqual(["progress", "welcome", "resumed", "stream"]);
    expect(told([accepted()])).toEqual(["progress", "welcome", "resumed"]);
    // A player of version 1 would not know the message.
    const before = play([hello, admitted(sessionOn("vm-1")), joined(), change]);
    expect(toThePlayer(before.outgoing)).toEqual(["progress", "welcome"]);
  });

  it("is not held back for an answer, nor limited in number: the ends see to both", () => {
    const many = Array.from({ length: signallingLimits.candidatesPerConnectionMax + 5 }, (_, i) =>
      numberedCandidate(i + 2),
    );
    const { outgoing } = play([
      hello,
      greeted(null),
      accepted(),
      numberedOffer(1),
      ...many,
      agentSays(1),
      agentSays(2, 1),
    ]);
    expect(numbersTo("agent", outgoing)).toHaveLength(many.length + 1);
    expect(toThePlayer(outgoing)).toEqual(["progress", "welcome", "candidate", "answer"]);
  });

  it("goes on through another socket: answers and candidates pass that were asked for by the one before", () => {
    const { outgoing } = play([
      hello,
      greeted({ ...line, received: 1 }),
      accepted({ ...line, received: 4 }, "resume-2"),
      agentSays(2, 3),
      numberedCandidate(5),
    ]);
    expect(outgoing.find((item) => item.to === "agent")).toMatchObject({ message: { line: { ...line, received: 1 } } });
    expect(numbersTo("player", outgoing)).toEqual([2]);
    expect(numbersTo("agent", outgoing)).toEqual([5]);
  });

  it("passes acks, and tells the agent of the newest at the next join", () => {
    const ack = (received: number): Incoming => ({ type: "player", message: { type: "ack", received } });
    const its = fromAgent({ type: "ack", connectionId, received: 7 });
    const { outgoing } = play([hello, greeted(null), accepted(), ack(1), ack(2), its, down(), up()]);
    expect(toTheAgent(outgoing)).toEqual(["join", "ack", "ack", "join"]);
    expect(outgoing.at(-1)).toMatchObject({ message: { type: "join", line: { id: line.id, received: 2 } } });
    expect(outgoing).toContainEqual({ to: "player", message: { type: "ack", received: 7 } });
  });

  it("tells the player after the agent's link was away how far the agent had heard", () => {
    const { outgoing } = play([
      hello,
      greeted(null),
      accepted(),
      numberedOffer(1),
      down(),
      bye(2),
      up(),
      accepted({ ...line, received: 0 }),
    ]);
    expect(outgoing).toContainEqual({ to: "player", message: { type: "resumed", line } });
    expect(toThePlayer(outgoing)).not.toContain("ended");
  });

  it("does not give another machine what was said on the line of the one before", () => {
    const { outgoing } = play([
      hello,
      greeted(null),
      accepted(),
      numberedOffer(1),
      { type: "session", session: sessionOn("vm-2", 2) },
      accepted({ id: "line-of-vm-2", received: 0 }, "resume-2", "vm-2"),
    ]);
    expect(outgoing.filter((item) => item.to === "agent" && item.vmId === "vm-2")).toHaveLength(1);
    expect(outgoing.at(-1)).toMatchObject({ message: { type: "welcome", line: { id: "line-of-vm-2" } } });
  });

  it("loses its numbers on the way to an agent of version 1, which would not ack them", () => {
    const { outgoing } = play([
      hello,
      numberedOffer(1),
      greeted(null),
      joined(),
      numberedCandidate(2),
      bye(3),
      agentSays(1),
    ]);
    expect(numbersTo("agent", outgoing)).toEqual([]);
    expect(toTheAgent(outgoing)).toEqual(["join", "offer", "candidate", "bye"]);
    expect(outgoing.some((item) => item.to === "player" && "message" in item && "line" in item.message)).toBe(false);
  });
});
