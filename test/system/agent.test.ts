// The agent as the control plane meets it: real processes, real sockets, and the real session children, which encode.
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { cp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { listProcesses } from "../../src/platform/process-identity.js";
import { ControlPlane, smallSeat, vmId } from "./agent-control-plane.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const program = join(root, "test/system/run-agent.mjs");

let controlPlane: ControlPlane;
let agents: Agent[];

beforeEach(async () => {
  controlPlane = await ControlPlane.start();
  agents = [];
});

afterEach(async () => {
  for (const agent of agents) agent.process.kill("SIGKILL");
  await Promise.all(agents.map(({ exited }) => exited));
  await controlPlane.remove();
});

class Agent {
  readonly process: ChildProcess;
  readonly exited: Promise<{ code: number | null; afterMs: number }>;
  log = "";
  readonly #startedAtMs = performance.now();

  constructor(its = program) {
    this.process = spawn(process.execPath, [its, controlPlane.configPath], { stdio: ["ignore", "pipe", "ignore"] });
    this.process.stdout?.on("data", (chunk: Buffer) => (this.log += chunk));
    this.exited = once(this.process, "exit").then(([code]) => ({
      code,
      afterMs: performance.now() - this.#startedAtMs,
    }));
    agents.push(this);
  }

  /** Resolves once its log says so. */
  async logged(words: string): Promise<void> {
    while (!this.log.includes(words)) await once(this.process.stdout!, "data");
  }

  children(): number[] {
    return listProcesses()
      .filter(({ parent }) => parent === this.process.pid)
      .map(({ pid }) => pid);
  }

  /** The process of a session, as the agent's log has it. */
  pidOf(sessionId: string): number {
    const lines = this.log.split("\n").filter((line) => line.includes('"session starts"') && line.includes(sessionId));
    return JSON.parse(lines.at(-1) ?? "{}").pid;
  }
}

/** An agent that heartbeats and has its link. */
async function startAgent(): Promise<Agent> {
  const agent = new Agent();
  await controlPlane.until(() => controlPlane.heartbeats > 0 && controlPlane.links > 0);
  return agent;
}

/** A session the first player of which has joined. */
async function joinedSession(sessionId: string): Promise<{ connectionId: string; resume: string }> {
  controlPlane.seats.push(smallSeat(sessionId));
  const { connectionId, answer } = await controlPlane.join(sessionId, { jti: randomUUID() });
  if (answer.type !== "joined") throw new Error(`refused: ${answer.detail}`);
  return { connectionId, resume: answer.resume };
}

/** Waits for what nobody announces: the process table. */
async function gone(pids: readonly number[]): Promise<void> {
  const living = () => listProcesses().filter(({ pid }) => pids.includes(pid));
  while (living().length > 0) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe("an agent", () => {
  it("enrols, proves by encoding what the machine sustains, then heartbeats and keeps a link", async () => {
    await startAgent();
    expect(controlPlane.capabilities).toMatchObject({ encoder: "libx264" });
    expect(controlPlane.capabilities?.pixelsPerSecond).toBeGreaterThan(0);
    expect(controlPlane.running).toEqual([]);
    expect(controlPlane.linkedAs).toEqual({ kind: "agent", vmId, epoch: 1 });
  });

  it("tries every encoder in the order of choice, and says in its log and to the control plane what each showed", async () => {
    const agent = await startAgent();
    const found = controlPlane.capabilities!.encoders!;
    expect(found.map(({ name }) => name)).toEqual(["h264_nvenc", "h264_vaapi", "libx264"]);
    expect(found.at(-1)).toMatchObject({ works: true });
    const lines = agent.log.split("\n");
    for (const { name, detail } of found)
      expect(lines.some((line) => line.includes(name) && line.includes(detail))).toBe(true);
  });

  it("tries only the encoders that its configuration names", async () => {
    await controlPlane.configure({ encoders: ["libx264"] });
    await startAgent();
    expect(controlPlane.capabilities!.encoders).toMatchObject([{ name: "libx264", works: true }]);
  });

  it("waits for a control plane that is away, and finds it at another port by its configuration", async () => {
    await controlPlane.close();
    const agent = new Agent();
    await agent.logged("trying again");
    await controlPlane.listen();
    await controlPlane.until(() => controlPlane.heartbeats > 0);
  });

  it("ends with a clear word when its bootstrap token is not taken", async () => {
    await controlPlane.configure({ bootstrapToken: "hsb_stolen" });
    const agent = new Agent();
    expect((await agent.exited).code).toBe(1);
    expect(agent.log).toContain("its bootstrap token is used or wrong");
  });

  it("waits to be ready until the orchestrator has seen its VM boot", async () => {
    controlPlane.status = "PROVISIONING";
    new Agent();
    await controlPlane.until(() => controlPlane.asked > 1);
    expect(controlPlane.heartbeats).toBe(0);
    controlPlane.status = "BOOTING";
    await controlPlane.until(() => controlPlane.heartbeats > 0);
    expect(controlPlane.status).toBe("READY");
  });

  it("reports a machine that cannot encode, and ends", async () => {
    const copy = join(root, "test-output", `agent-${randomUUID()}`);
    try {
      await cp(join(root, "dist"), join(copy, "dist"), { recursive: true });
      await cp(program, join(copy, "test/system/run-agent.mjs"));
      const probe = "export const probe = async () => { throw new Error('x264 does not open'); };";
      await writeFile(join(copy, "dist/agent/encode/probe.js"), probe);
      const agent = new Agent(join(copy, "test/system/run-agent.mjs"));
      expect((await agent.exited).code).toBe(1);
    } finally {
      await rm(copy, { recursive: true });
    }
    expect(controlPlane.errors).toEqual([{ errorCode: "encoder-failed", errorMessage: "x264 does not open" }]);
    expect(controlPlane.heartbeats).toBe(0);
  });

  it("renews its token by proof of its key when the old one has run out", async () => {
    controlPlane.tokenSeconds = 0;
    await startAgent();
    expect(controlPlane.renewals).toBeGreaterThan(0);
  });

  it("lets a player in by a ticket once, then by the newest resume secret only", async () => {
    await startAgent();
    controlPlane.seats = [smallSeat("s1")];
    const jti = randomUUID();
    const first = await controlPlane.join("s1", { jti });
    expect(first.answer).toMatchObject({ type: "joined", stream: { gameId: "demo", mode: smallSeat("s1").mode } });
    const replayed = await controlPlane.join("s1", { jti });
    expect(replayed.answer).toMatchObject({ type: "refused", reason: "ticket-used" });
    const guessed = await controlPlane.join("s1", { resume: "guess" });
    expect(guessed.answer).toMatchObject({ type: "refused", reason: "resume-wrong" });
    if (first.answer.type !== "joined") throw new Error("not joined");
    const second = await controlPlane.join("s1", { resume: first.answer.resume });
    expect(second.answer).toMatchObject({ type: "joined" });
    await controlPlane.hear((said) =>
      said.type === "refused" && said.connectionId === first.connectionId && said.reason === "taken-over"
        ? said
        : undefined,
    );
    if (second.answer.type !== "joined") throw new Error("not joined");
    expect(second.answer.resume).not.toBe(first.answer.resume);
    const control = await controlPlane.join("s1", { resume: second.answer.resume }, { channel: "control" });
    expect(control.answer).toMatchObject({ type: "joined", resume: second.answer.resume });
    const late = await controlPlane.join("s1", { resume: first.answer.resume });
    expect(late.answer).toMatchObject({ type: "refused", reason: "resume-wrong" });
  });

  it("refuses the genuine resume secret of the session beside it, where it stays good", async () => {
    await startAgent();
    await joinedSession("s1");
    const { resume } = await joinedSession("s2");
    for (const channel of ["signalling", "control"] as const)
      expect((await controlPlane.join("s1", { resume }, { channel })).answer).toMatchObject({
        type: "refused",
        reason: "resume-wrong",
      });
    expect((await controlPlane.join("s2", { resume })).answer).toMatchObject({ type: "joined" });
  });

  it("refuses a session that has no seat on its VM, after it asked", async () => {
    await startAgent();
    const before = controlPlane.heartbeats;
    const { answer } = await controlPlane.join("unknown", { jti: randomUUID() });
    expect(answer).toMatchObject({ type: "refused", reason: "no-such-session" });
    expect(controlPlane.heartbeats).toBeGreaterThan(before);
  });

  it("answers the same join again after the link was cut, without a new secret", async () => {
    await startAgent();
    const { connectionId, resume } = await joinedSession("s1");
    const { links } = controlPlane;
    controlPlane.cutLink();
    await controlPlane.until(() => controlPlane.links > links);
    const { answer } = await controlPlane.join("s1", { resume }, { connectionId });
    expect(answer).toMatchObject({ type: "joined", resume });
  });

  it("ends the process of a session whose seat is withdrawn, and no other", async () => {
    const agent = await startAgent();
    await joinedSession("s1");
    await joinedSession("s2");
    const [first, second] = [agent.pidOf("s1"), agent.pidOf("s2")];
    controlPlane.seats = [smallSeat("s2")];
    await controlPlane.join("unknown", { jti: randomUUID() });
    await gone([first]);
    expect(agent.children()).toContain(second);
    await controlPlane.until(() => controlPlane.running.join() === "s2");
  });

  it("reports a session whose process is killed, does not start it again, and the others live on", async () => {
    const agent = await startAgent();
    await joinedSession("s1");
    const { resume } = await joinedSession("s2");
    process.kill(agent.pidOf("s1"), "SIGKILL");
    const report = await controlPlane.hear((said) => (said.type === "session" ? said : undefined));
    expect(report).toMatchObject({
      sessionId: "s1",
      state: "stream-failed",
      detail: expect.stringContaining("SIGKILL"),
    });
    expect((await controlPlane.join("s1", { jti: randomUUID() })).answer).toMatchObject({ reason: "session-failed" });
    expect((await controlPlane.join("s2", { resume })).answer).toMatchObject({ type: "joined" });
    await controlPlane.until(() => controlPlane.running.join() === "s2");
  });

  it("says again what became of a session on every new link", async () => {
    const agent = await startAgent();
    await joinedSession("s1");
    process.kill(agent.pidOf("s1"), "SIGKILL");
    await controlPlane.hear((said) => (said.type === "session" ? said : undefined));
    const from = controlPlane.said.length;
    controlPlane.cutLink();
    const again = await controlPlane.hear((said) => (said.type === "session" ? said : undefined), from);
    expect(again).toMatchObject({ sessionId: "s1", state: "stream-failed" });
  });

  it("ends the session when its player says goodbye, and nobody else can", async () => {
    const agent = await startAgent();
    const { connectionId } = await joinedSession("s1");
    const pid = agent.pidOf("s1");
    const stranger = randomUUID();
    controlPlane.tell({ type: "bye", sessionId: "s1", connectionId: stranger });
    await controlPlane.hear((said) => (said.type === "refused" && said.connectionId === stranger ? said : undefined));
    controlPlane.tell({ type: "bye", sessionId: "s1", connectionId });
    expect(await controlPlane.hear((said) => (said.type === "session" ? said : undefined))).toMatchObject({
      state: "left",
    });
    await gone([pid]);
  });

  it("says why a session cannot be played here", async () => {
    await startAgent();
    controlPlane.seats = [{ ...smallSeat("s1"), gameId: "no-such-game" }];
    const { answer } = await controlPlane.join("s1", { jti: randomUUID() });
    expect(answer).toMatchObject({ type: "refused", reason: "session-failed" });
    const report = await controlPlane.hear((said) => (said.type === "session" ? said : undefined));
    expect(report).toMatchObject({ state: "stream-failed", detail: expect.stringContaining("no-such-game") });
  });

  it("refuses an offer that it cannot read or answer as what it is", async () => {
    await startAgent();
    controlPlane.seats = [smallSeat("s1")];
    for (const sdp of ["nonsense", "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\na=rtpmap:96 H264/90000\r\n"]) {
      const { connectionId } = await controlPlane.join("s1", { jti: randomUUID() });
      const from = controlPlane.said.length;
      controlPlane.tell({ type: "signal", sessionId: "s1", connectionId, message: { type: "offer", sdp } });
      const refused = await controlPlane.hear((said) => (said.type === "refused" ? said : undefined), from);
      expect(refused, sdp).toMatchObject({ connectionId, reason: "bad-offer" });
    }
  });

  it("leaves within 2 s of SIGTERM with exit code 0 and no process", async () => {
    const agent = await startAgent();
    await joinedSession("s1");
    const children = agent.children();
    expect(children.length).toBeGreaterThan(0);
    const toldAtMs = performance.now();
    agent.process.kill("SIGTERM");
    expect((await agent.exited).code).toBe(0);
    expect(performance.now() - toldAtMs).toBeLessThan(2_000);
    await gone(children);
  });

  it("reports no failure when the signal reaches its session's process first", async () => {
    const agent = await startAgent();
    await joinedSession("s1");
    const child = agent.pidOf("s1");
    process.kill(child, "SIGTERM");
    agent.process.kill("SIGTERM");
    expect((await agent.exited).code).toBe(0);
    await gone([child]);
    expect(controlPlane.said.filter(({ type }) => type === "session")).toEqual([]);
  });

  it("leaves no session process behind when it is killed", async () => {
    const agent = await startAgent();
    await joinedSession("s1");
    const children = agent.children();
    expect(children.length).toBeGreaterThan(0);
    agent.process.kill("SIGKILL");
    await agent.exited;
    await gone(children);
  });

  it("lives without a control plane for its limit, then ends by itself", async () => {
    await controlPlane.configure({ controlPlaneLostSecondsMax: 2 });
    const agent = await startAgent();
    await joinedSession("s1");
    const children = agent.children();
    const lostAtMs = performance.now();
    await controlPlane.close();
    expect((await agent.exited).code).toBe(0);
    // Its last heartbeat was answered up to a third of the limit before.
    expect(performance.now() - lostAtMs).toBeGreaterThan(1_300);
    expect(agent.log).toContain("it was alone for 2 s");
    await gone(children);
  });

  it("outlives a control plane that comes back at another port", async () => {
    await controlPlane.configure({ controlPlaneLostSecondsMax: 20 });
    const agent = await startAgent();
    const { resume } = await joinedSession("s1");
    const pid = agent.pidOf("s1");
    await controlPlane.close();
    const { heartbeats, links } = controlPlane;
    await controlPlane.listen();
    await controlPlane.until(() => controlPlane.heartbeats > heartbeats && controlPlane.links > links);
    expect((await controlPlane.join("s1", { resume })).answer).toMatchObject({ type: "joined" });
    expect(agent.pidOf("s1")).toBe(pid);
  });

  it("ends by itself when its VM is over", async () => {
    const agent = await startAgent();
    controlPlane.status = "TERMINATED";
    expect((await agent.exited).code).toBe(0);
    expect(agent.log).toContain("the VM is TERMINATED");
  });
});
