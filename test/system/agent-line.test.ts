// The agent's end of a page's line, with its real session process: sockets, links and ingest nodes come and go, and
// what page and machine say to each other arrives all the same, once and in order.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, beforeEach, expect, it } from "vitest";
import type { LineState } from "../../src/contracts/line.js";
import type { FromAgent } from "../../src/contracts/signalling.js";
import { ControlPlane, smallSeat } from "./agent-control-plane.js";

type Signal = Extract<FromAgent, { type: "signal" }>;

const program = fileURLToPath(new URL("run-agent.mjs", import.meta.url));
const sdp = readFileSync(new URL("../fixtures/chromium-156-offer.sdp", import.meta.url), "utf8");

let controlPlane: ControlPlane;
let agent: ChildProcess;
let sessionId: string;
beforeAll(async () => {
  controlPlane = await ControlPlane.start();
  agent = spawn(process.execPath, [program, controlPlane.configPath], { stdio: "ignore" });
  await controlPlane.until(() => controlPlane.heartbeats > 0 && controlPlane.links > 0);
});
afterAll(async () => {
  const exited = once(agent, "exit");
  agent.kill("SIGTERM");
  await exited;
  await controlPlane.remove();
});
beforeEach(() => {
  sessionId = `s_${randomUUID()}`;
  controlPlane.seats = [smallSeat(sessionId)];
});

/** The page comes, by a first ticket or back with what it knows. */
async function page(proof: { jti: string } | { resume: string }, line: LineState | null) {
  const from = controlPlane.said.length;
  const { connectionId, answer } = await controlPlane.join(sessionId, proof, { line });
  if (answer.type !== "joined" || answer.line === undefined) throw new Error("not joined on a line");
  return { connectionId, resume: answer.resume, line: answer.line, from };
}

const offer = (connectionId: string, seq: number) =>
  controlPlane.tell({ type: "signal", sessionId, connectionId, message: { type: "offer", sdp }, seq });
const signalsTo = (connectionId: string, from: number) =>
  controlPlane.said
    .slice(from)
    .filter((said): said is Signal => said.type === "signal" && said.connectionId === connectionId);
const answerTo = (connectionId: string, from: number) =>
  controlPlane.hear(
    (said) =>
      said.type === "signal" && said.connectionId === connectionId && said.message.type === "answer"
        ? { ...said, message: said.message }
        : undefined,
    from,
  );
const ackTo = (connectionId: string, received: number, from: number) =>
  controlPlane.hear(
    (said) =>
      said.type === "ack" && said.connectionId === connectionId && said.received === received ? said : undefined,
    from,
  );

it("an answer that was not acked is said again through the next socket, to the offer it was made for", async () => {
  const first = await page({ jti: randomUUID() }, null);
  expect(first.line.received).toBe(0);
  offer(first.connectionId, 1);
  await ackTo(first.connectionId, 1, first.from);
  const made = await answerTo(first.connectionId, first.from);
  expect(made.message.to).toBe(1);

  const second = await page({ resume: first.resume }, { id: first.line.id, received: 0 });
  expect(second.line).toEqual({ id: first.line.id, received: 1 });
  const again = await answerTo(second.connectionId, second.from);
  expect(again).toMatchObject({ seq: made.seq, message: made.message });
  const numbers = signalsTo(second.connectionId, second.from).map(({ seq }) => seq);
  expect(numbers).toEqual(numbers.map((_, i) => i + 1));

  controlPlane.tell({ type: "ack", sessionId, connectionId: second.connectionId, received: made.seq! });
  const third = await page({ resume: second.resume }, { id: first.line.id, received: made.seq! });
  expect(signalsTo(third.connectionId, third.from).every(({ seq }) => seq! > made.seq!)).toBe(true);
});

it("what comes a second time is not done again, and what follows a loss waits for what was lost", async () => {
  const { connectionId, from } = await page({ jti: randomUUID() }, null);
  controlPlane.tell({ type: "bye", sessionId, connectionId, seq: 3 });
  offer(connectionId, 1);
  offer(connectionId, 1);
  offer(connectionId, 2);
  await ackTo(connectionId, 2, from);
  await controlPlane.hear(
    (said) => (said.type === "signal" && said.message.type === "answer" && said.message.to === 2 ? said : undefined),
    from,
  );
  const answers = signalsTo(connectionId, from).filter(({ message }) => message.type === "answer");
  expect(answers.length).toBeLessThanOrEqual(2);
  expect(
    controlPlane.said.some((said) => said.type === "session" && said.sessionId === sessionId && said.state === "left"),
  ).toBe(false);
  controlPlane.tell({ type: "bye", sessionId, connectionId, seq: 3 });
  await controlPlane.hear((said) => (said.type === "session" && said.state === "left" ? said : undefined), from);
});

it("a page that knows no line, or one of another machine, begins its own", async () => {
  const first = await page({ jti: randomUUID() }, null);
  const reloaded = await page({ resume: first.resume }, null);
  expect(reloaded.line.id).not.toBe(first.line.id);
  const moved = await page({ resume: reloaded.resume }, { id: "of-another-machine", received: 7 });
  expect(moved.line).toMatchObject({ received: 0 });
  expect(moved.line.id).not.toBe(reloaded.line.id);
  offer(moved.connectionId, 1);
  expect((await answerTo(moved.connectionId, moved.from)).message.to).toBe(1);
});

it("a page of version 1 is answered without numbers", async () => {
  const from = controlPlane.said.length;
  const { connectionId, answer } = await controlPlane.join(sessionId, { jti: randomUUID() });
  expect(answer).not.toHaveProperty("line");
  controlPlane.tell({ type: "signal", sessionId, connectionId, message: { type: "offer", sdp } });
  const made = await answerTo(connectionId, from);
  expect(made).not.toHaveProperty("seq");
  expect(made.message).not.toHaveProperty("to");
});
