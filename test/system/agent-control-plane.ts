// A control plane with nothing in it but what one agent meets: the orchestrator's agent routes over the contract, and
// ingest's end of the link. It decides nothing: the test says which seats there are, and looks at what arrived.

import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { importJWK, jwtVerify } from "jose";
import type { WebSocket } from "ws";
import { agentRoutes } from "../../src/contracts/agents.js";
import type { Capabilities, GameProgram } from "../../src/contracts/catalog.js";
import type { LineState } from "../../src/contracts/line.js";
import { orchestratorRoutes, type SeatSpec, type Vm, type VmStatus } from "../../src/contracts/orchestrator.js";
import { Problem } from "../../src/contracts/problems.js";
import { type FromAgent, fromAgent, type ToAgent } from "../../src/contracts/signalling.js";
import { streamingSockets } from "../../src/contracts/streaming.js";
import { Authenticator, type Caller } from "../../src/platform/auth.js";
import { systemClock } from "../../src/platform/clock.js";
import { createHttpServer, type HttpServer, listen, serve } from "../../src/platform/http.js";
import { createLog } from "../../src/platform/log.js";
import { ensureSecrets } from "../../src/platform/secrets.js";

export const vmId = "vm-under-test";
export const bootstrapToken = "hsb_test";
const host = "127.0.0.1";
const log = createLog({ name: "control-plane", level: "silent" });

/** Small, of the demo, for ten minutes. */
export const smallSeat = (sessionId: string): SeatSpec => ({
  sessionId,
  gameId: "demo",
  presetId: "default-standard",
  mode: { width: 320, height: 180, fps: 30 },
  title: "Signal",
  pointer: "relative",
  bitrateKbpsMin: 1_000,
  bitrateKbpsMax: 2_000,
  encoding: { effort: "moderate", vbvFrames: 1 },
  idleMs: 600_000,
});

export class ControlPlane {
  /** What the test decides. */
  seats: SeatSpec[] = [];
  programs: GameProgram[] = [];
  status: VmStatus = "BOOTING";
  tokenSeconds = 300;
  losesEnrolAnswer = false;
  url = "";
  /** What arrived. */
  readonly errors: { errorCode: string; errorMessage: string }[] = [];
  readonly said: FromAgent[] = [];
  capabilities: Capabilities | null = null;
  asked = 0;
  heartbeats = 0;
  renewals = 0;
  links = 0;
  running: string[] = [];
  linkedAs: Caller | null = null;
  #publicKey: { kty: "OKP"; crv: "Ed25519"; x: string } | null = null;
  #server: HttpServer | null = null;
  #link: WebSocket | null = null;
  #watchers = new Set<() => void>();

  private constructor(
    private readonly directory: string,
    private readonly authenticator: Authenticator,
  ) {}

  /** In a folder of its own, which `remove` removes, as does a start that fails. */
  static async start(): Promise<ControlPlane> {
    const directory = await mkdtemp(join(tmpdir(), "hotseat-agent-"));
    try {
      const secrets = await ensureSecrets(join(directory, "secrets.json"));
      const controlPlane = new ControlPlane(directory, new Authenticator(secrets, systemClock));
      await controlPlane.listen();
      return controlPlane;
    } catch (error) {
      await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  get configPath(): string {
    return join(this.directory, "agent.json");
  }

  /** Opens both ends on a free port and tells the agent so by its configuration file. */
  async listen(): Promise<void> {
    const config = { host, port: 0, allowedOrigins: [] };
    this.#server = await createHttpServer({ config, authenticator: this.authenticator, log });
    this.#mount(this.#server);
    this.url = `http://${host}:${await listen(this.#server, config)}`;
    await this.configure({ orchestratorUrl: this.url, streamingUrl: this.url });
  }

  async configure(settings: Record<string, unknown>): Promise<void> {
    this.#settings = { ...this.#settings, ...settings };
    await writeFile(this.configPath, JSON.stringify(this.#settings));
  }

  #settings: Record<string, unknown> = { vmId, epoch: 1, bootstrapToken, logLevel: "debug" };

  /** The control plane goes away without a word. */
  async close(): Promise<void> {
    this.#link?.terminate();
    this.#link = null;
    await this.#server?.app.close();
  }

  async remove(): Promise<void> {
    await this.close();
    await rm(this.directory, { recursive: true, force: true });
  }

  /** The VM's next agent may enrol. */
  async forgetKey(): Promise<void> {
    this.#publicKey = null;
  }

  /** Ingest loses the link; the agent dials again. */
  cutLink(): void {
    this.#link?.terminate();
  }

  tell(message: ToAgent): void {
    if (this.#link === null) throw new Error("the agent has no link");
    this.#link.send(JSON.stringify(message));
  }

  /** As it stands: bytes in a binary message, words in a text. */
  tellRaw(message: Uint8Array | string): void {
    this.#link?.send(message);
  }

  /** Resolves when the agent has taken in what it was told, or has left. */
  async takenIn(): Promise<void> {
    const link = this.#link;
    if (link === null || link.readyState !== link.OPEN) return;
    link.ping();
    const heard = new AbortController();
    const either = ["pong", "close"].map((event) => once(link, event, { signal: heard.signal }).catch(() => {}));
    await Promise.race(either);
    heard.abort();
  }

  /** Joins as ingest would; resolves with what the agent answers. */
  async join(
    sessionId: string,
    proof: { jti: string } | { resume: string },
    {
      channel = "signalling",
      connectionId = randomUUID(),
      line,
    }: { channel?: "signalling" | "control"; connectionId?: string; line?: LineState | null } = {},
  ) {
    const from = this.said.length;
    const expiresAt = Date.now() / 1000 + 60;
    this.tell({
      type: "join",
      sessionId,
      connectionId,
      channel,
      proof: "jti" in proof ? { ...proof, expiresAt } : proof,
      iceServers: [],
      ...(line !== undefined && { line }),
    });
    const answer = await this.hear(
      (message) =>
        (message.type === "joined" || message.type === "refused") && message.connectionId === connectionId
          ? message
          : undefined,
      from,
    );
    return { connectionId, answer };
  }

  /** The first message since `from` that `pick` takes. */
  hear<T>(pick: (message: FromAgent) => T | undefined, from = 0): Promise<T> {
    return this.until(() => {
      for (const message of this.said.slice(from)) {
        const picked = pick(message);
        if (picked !== undefined) return picked;
      }
      return undefined;
    });
  }

  /** Resolves once `condition` gives something, looked at whenever anything arrives. */
  until<T>(condition: () => T | undefined | false): Promise<T> {
    return new Promise((resolve) => {
      const look = () => {
        const met = condition();
        if (met === undefined || met === false) return;
        this.#watchers.delete(look);
        resolve(met);
      };
      this.#watchers.add(look);
      look();
    });
  }

  #arrived(): void {
    for (const look of [...this.#watchers]) look();
  }

  #accept(socket: WebSocket): void {
    this.#link = socket;
    this.links += 1;
    socket.on("message", (bytes) => {
      this.said.push(fromAgent.parse(JSON.parse(bytes.toString())));
      this.#arrived();
    });
    this.#arrived();
  }

  #mount(server: HttpServer): void {
    const token = async () => ({
      status: 200 as const,
      body: { token: await this.authenticator.mintAgentToken(vmId, 1), expiresInSeconds: this.tokenSeconds },
    });
    server.app.addHook("onResponse", async () => this.#arrived());
    server.app.get(streamingSockets.agent, { websocket: true }, (socket, { caller }) => {
      this.linkedAs = caller;
      this.#accept(socket);
    });
    serve(server, agentRoutes.enrol, async ({ caller, body }) => {
      if (caller.kind !== "bootstrap" || caller.token !== bootstrapToken || this.#publicKey !== null)
        throw new Problem("forbidden", "This bootstrap token is used or wrong.");
      this.#publicKey = body.publicKey;
      if (this.losesEnrolAnswer) throw new Problem("unavailable", "The answer is lost.");
      return token();
    });
    serve(server, agentRoutes.renew, async ({ body }) => {
      if (this.#publicKey === null) throw new Problem("not-found", "No agent has enrolled.");
      await jwtVerify(body.proof, await importJWK(this.#publicKey, "EdDSA"), {
        subject: vmId,
        audience: "hotseat-renew",
        maxTokenAge: 60,
      });
      this.renewals += 1;
      return token();
    });
    serve(server, orchestratorRoutes.getVm, async () => {
      this.asked += 1;
      return { status: 200, body: this.#vm() };
    });
    serve(server, orchestratorRoutes.markReady, async ({ body }) => {
      if (this.status !== "BOOTING") throw new Problem("illegal-transition", `The VM is ${this.status}.`);
      this.capabilities = body.capabilities ?? null;
      this.status = "READY";
      return { status: 200, body: this.#vm() };
    });
    serve(server, orchestratorRoutes.reportError, async ({ body }) => {
      this.errors.push(body);
      return { status: 200, body: this.#vm() };
    });
    serve(server, agentRoutes.programs, async () => ({ status: 200, body: { programs: this.programs } }));
    serve(server, agentRoutes.heartbeat, async ({ body }) => {
      this.heartbeats += 1;
      this.running = body.sessions;
      return { status: 200, body: { status: this.status, leaseSeconds: 15, version: 1, seats: this.seats } };
    });
  }

  #vm(): Vm {
    return {
      vmId,
      templateId: "L4-360",
      region: "us-east-1",
      provider: "local",
      status: this.status,
      reachable: true,
      units: { total: 60, used: 0 },
      sessions: [],
      capabilities: this.capabilities,
      error: null,
      reason: null,
      tenant: null,
      createdAt: new Date().toISOString(),
      readyAt: null,
      terminatedAt: null,
      version: 1,
    };
  }
}
