// The orchestrator's contract as the session role uses it: seats in a map, events in a list. Stops, breaks VMs and hangs
// when a test says so.
import type { VmEvent } from "../../src/contracts/events.js";
import { type Assignment, orchestratorRoutes, type Vm } from "../../src/contracts/orchestrator.js";
import { Problem } from "../../src/contracts/problems.js";
import type { PlacementUse } from "../../src/contracts/tenants.js";
import { type HttpServer, serve } from "../../src/platform/http.js";
import type { Secrets } from "../../src/platform/secrets.js";
import { type FeedItem, sendFeed } from "../../src/platform/sse.js";
import { listening, newServer } from "./session-servers.js";

export class MapOrchestrator {
  readonly vms = new Map<string, { seats: number; error: { code: string; message: string } | null }>();
  readonly placements = new Map<string, { vmId: string | null }>();
  readonly events: VmEvent[] = [];
  readonly tenants: PlacementUse[] = [];
  /** Called when a seat is asked for, before it is given. */
  beforeAssign: (sessionId: string) => Promise<void> | void = () => {};
  /** Called when it is given, before that is answered. */
  beforeAnswer: (sessionId: string) => Promise<void> | void = () => {};
  #server: HttpServer | null = null;
  #port = 0;
  #wake: (() => void)[] = [];

  constructor(private readonly secrets: Secrets) {}

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    const server = await newServer(this.secrets);
    this.#serve(server);
    this.#port = Number(new URL(await listening(server, this.#port)).port);
    this.#server = server;
  }

  async stop(): Promise<void> {
    await this.#server?.app.close();
    this.#server = null;
  }

  /** Makes a VM, and seats those who wait. */
  addVm(vmId: string, seats: number): void {
    this.vms.set(vmId, { seats, error: null });
    for (const [sessionId, placement] of this.placements) if (placement.vmId === null) this.#place(sessionId);
  }

  /** Its VM breaks: its sessions are placed once more, or wait. */
  breakVm(vmId: string, next: "waiting" | "none"): void {
    this.vms.set(vmId, { seats: 0, error: { code: "broken", message: "It broke." } });
    for (const [sessionId, placement] of this.placements) {
      if (placement.vmId !== vmId) continue;
      this.#emit("SessionReleased", vmId, sessionId, { reason: "vm-error", next });
      if (next === "none") this.placements.delete(sessionId);
      else {
        placement.vmId = null;
        this.#place(sessionId);
      }
    }
  }

  /** A session's place in the queue runs out. */
  expire(sessionId: string): void {
    this.placements.delete(sessionId);
  }

  seated(vmId: string): string[] {
    return [...this.placements].filter(([, placement]) => placement.vmId === vmId).map(([sessionId]) => sessionId);
  }

  #place(sessionId: string): void {
    const free = [...this.vms].find(([vmId, { seats }]) => this.seated(vmId).length < seats);
    this.placements.set(sessionId, { vmId: free?.[0] ?? null });
    if (free !== undefined) this.#emit("SessionAssigned", free[0], sessionId, {});
  }

  #emit(type: "SessionAssigned" | "SessionReleased", vmId: string, sessionId: string, data: object): void {
    this.events.push({
      specversion: "1.0",
      id: `${this.events.length + 1}`,
      source: "/hotseat/orchestrator",
      type,
      subject: vmId,
      time: new Date().toISOString(),
      datacontenttype: "application/json",
      data: { vmId, region: "us-east-1", templateId: "L4-90", sessionId, ...data },
    } as VmEvent);
    for (const wake of this.#wake.splice(0)) wake();
  }

  #assignment(sessionId: string): Assignment {
    const placement = this.placements.get(sessionId);
    if (placement === undefined) throw new Problem("not-found");
    if (placement.vmId !== null)
      return {
        status: "ASSIGNED",
        sessionId,
        vmId: placement.vmId,
        region: "us-east-1",
        templateId: "L4-90",
        provider: "local",
      };
    const waiting = [...this.placements].filter(([, { vmId }]) => vmId === null).map(([id]) => id);
    const position = waiting.indexOf(sessionId) + 1;
    return { status: "QUEUED", sessionId, region: "us-east-1", position, etaSeconds: position * 10, reason: "full" };
  }

  #vm(vmId: string): Vm {
    const vm = this.vms.get(vmId);
    if (vm === undefined) throw new Problem("not-found");
    return {
      vmId,
      templateId: "L4-90",
      region: "us-east-1",
      provider: "local",
      status: vm.error === null ? "READY" : "TERMINATED",
      reachable: true,
      units: { total: 60, used: 0 },
      sessions: this.seated(vmId),
      capabilities: null,
      error: vm.error,
      reason: null,
      tenant: null,
      createdAt: new Date(0).toISOString(),
      readyAt: null,
      terminatedAt: null,
      version: 1,
    };
  }

  #serve(server: HttpServer): void {
    const demo = {
      gameId: "demo",
      title: "Demo",
      tagline: "Play.",
      controls: [],
      presetId: "default-standard",
      touch: null,
      unavailable: null,
    } as const;
    serve(server, orchestratorRoutes.games, async () => ({
      status: 200,
      body: { games: [{ ...demo, controls: [] }] },
    }));
    serve(server, orchestratorRoutes.tenants, async () => ({ status: 200, body: { tenants: this.tenants } }));
    serve(server, orchestratorRoutes.assign, async ({ body }) => {
      if ("request" in body && body.request.gameId === "unknown-game")
        throw new Problem("invalid-request", "There is no such game.", {
          errors: [{ field: "request.gameId", message: "is not a game" }],
        });
      const { sessionId } = body;
      await this.beforeAssign(sessionId);
      if (!this.placements.has(sessionId)) this.#place(sessionId);
      await this.beforeAnswer(sessionId);
      const answer = this.#assignment(sessionId);
      return { status: answer.status === "ASSIGNED" ? 200 : 202, body: answer };
    });
    serve(server, orchestratorRoutes.renewPlacements, async ({ body }) => ({
      status: 200,
      body: { waiting: body.sessionIds.filter((id) => this.placements.get(id)?.vmId === null) },
    }));
    serve(server, orchestratorRoutes.getPlacement, async ({ params }) => ({
      status: 200,
      body: this.#assignment(params.sessionId),
    }));
    serve(server, orchestratorRoutes.withdraw, async ({ params: { sessionId } }) => {
      const held = this.placements.get(sessionId);
      this.placements.delete(sessionId);
      if (held?.vmId) this.#emit("SessionReleased", held.vmId, sessionId, { reason: "withdrawn", next: "none" });
      for (const [waiting, { vmId }] of this.placements) if (vmId === null) this.#place(waiting);
      for (const wake of this.#wake.splice(0)) wake();
      return { status: 200, body: { sessionId, released: held !== undefined } };
    });
    serve(server, orchestratorRoutes.getVm, async ({ params }) => ({ status: 200, body: this.#vm(params.vmId) }));
    serve(server, orchestratorRoutes.events, ({ raw, reply }) =>
      sendFeed(reply, (signal) => this.#feed(Number(raw.headers["last-event-id"] ?? this.events.length), signal)),
    );
  }

  async *#feed(after: number, signal: AbortSignal): AsyncGenerator<FeedItem> {
    for (let next = after; !signal.aborted; ) {
      const event = this.events[next];
      if (event !== undefined) {
        next++;
        yield { id: event.id, data: event };
      } else
        await new Promise<void>((resolve) => {
          this.#wake.push(resolve);
          signal.addEventListener("abort", () => resolve(), { once: true });
        });
    }
  }

  /** Resolves once `done` holds; looked at after each change. */
  async until(done: () => boolean): Promise<void> {
    while (!done()) await new Promise<void>((resolve) => this.#wake.push(resolve));
  }
}
