// The host agent: one supervisor per VM. It enrols, proves that the machine encodes, and then runs what the control
// plane wants, each session in a process of its own. No native add-on is loaded here, so that none can take it down.

import { randomBytes } from "node:crypto";
import { agentRoutes } from "../contracts/agents.js";
import type { Capabilities, GameProgram } from "../contracts/catalog.js";
import { orchestratorRoutes } from "../contracts/orchestrator.js";
import { Problem } from "../contracts/problems.js";
import { createClient } from "../platform/client.js";
import { systemClock } from "../platform/clock.js";
import type { Log } from "../platform/log.js";
import { modeFor } from "./encode/video-mode.js";
import { type AgentConfig, type Endpoints, followEndpoints, readAgentConfig } from "./supervisor/agent-config.js";
import { Heartbeat } from "./supervisor/heartbeat.js";
import { enrol, type Identity, type IdentityContext, isFenced } from "./supervisor/identity.js";
import { Lifeline } from "./supervisor/lifeline.js";
import { AgentLink } from "./supervisor/link.js";
import { Nursery } from "./supervisor/nursery.js";
import { retry } from "./supervisor/retry.js";
import { findRoom, type Room } from "./supervisor/room.js";
import { SessionChildError } from "./supervisor/session-child.js";
import { Sessions } from "./supervisor/sessions.js";

const heartbeatMsMax = 5_000;
const callMsMax = 5_000;
const errorCharsMax = 500;

/** The machine does not encode; the control plane has been told. */
export class EncoderFailed extends Error {
  override name = "EncoderFailed";
}

/**
 * Runs the agent of one VM. Resolves, with why, when `signal` fires, the VM is over, or it has been alone for too long;
 * no process, socket or timer of it is left then.
 * @throws ConfigError · EnrolmentRefused · EncoderFailed
 */
export async function runAgent(
  configPath: string,
  { signal, log }: { signal: AbortSignal; log: Log },
): Promise<string> {
  const { bootstrapToken, ...config } = await readAgentConfig(configPath);
  const ending = new AbortController();
  const ended = new Promise<never>((_, reject) => {
    ending.signal.addEventListener("abort", () => reject(ending.signal.reason));
  });
  const stop = () => ending.abort("it was told to stop");
  signal.addEventListener("abort", stop);
  if (signal.aborted) stop();
  const closing: (() => Promise<unknown>)[] = [];
  try {
    const agent = superviseVm({
      config,
      bootstrapToken,
      endpoints: followEndpoints(configPath, config, log),
      end: (why) => ending.abort(why),
      onClose: (close) => closing.push(close),
      log,
      signal: ending.signal,
    });
    return await Promise.race([ended, agent]);
  } catch (error) {
    if (!ending.signal.aborted && !isFenced(error)) throw error;
    const why = isFenced(error) ? `it is fenced: ${error.message}` : String(ending.signal.reason);
    log.info({ vmId: config.vmId, why }, "the agent ends");
    return why;
  } finally {
    signal.removeEventListener("abort", stop);
    ending.abort("it failed");
    await Promise.allSettled(closing.map((close) => close()));
  }
}

interface Supervision {
  readonly config: Omit<AgentConfig, "bootstrapToken">;
  readonly bootstrapToken: string;
  readonly endpoints: () => Promise<Endpoints>;
  readonly end: (why: string) => void;
  /** Called once the signal has fired, or supervision has failed. */
  readonly onClose: (close: () => Promise<unknown>) => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** The composition of one agent; it ends by the signal only. */
async function superviseVm(supervision: Supervision): Promise<never> {
  const { config, bootstrapToken, endpoints, end, onClose, log, signal } = supervision;
  const { vmId, epoch, bindAddress, udpPorts } = config;
  const aloneMsMax = config.controlPlaneLostSecondsMax * 1000;
  const context = {
    vmId,
    epoch,
    orchestratorUrl: async () => (await endpoints()).orchestratorUrl,
    streamingUrls: async () => (await endpoints()).streamingUrl,
    monotonicMs: () => performance.now(),
    clock: systemClock,
    random: Math.random,
    log,
    signal,
  };
  const lifeline = new Lifeline(aloneMsMax, context.monotonicMs);
  const heard = () => lifeline.heard();
  const room = await findRoom();
  if (room.command === null) log.warn({ why: room.missing }, "no real games here");
  const nursery = new Nursery(room, log);
  const sessions: Sessions = new Sessions({
    launch: (seat) => {
      const { gameId, mode } = seat;
      const child = nursery.take({ gameId, mode: modeFor(mode, capabilities.sustains).mode });
      const network = { bindAddress, portMin: udpPorts?.begin, portMax: udpPorts?.end };
      child.send({ type: "start", seat, capabilities, network });
      return child;
    },
    send: (message) => link.send(message),
    refresh: () => heartbeat.refresh(),
    random: randomBytes,
    clock: systemClock,
    log,
  });
  onClose(() => Promise.all([nursery.end(), sessions.end()]));
  void lifeline
    .ranOut(() => sessions.playing(), signal)
    .then(() => end(`it was alone for ${config.controlPlaneLostSecondsMax} s`));

  const identity = await enrol(context, bootstrapToken);
  signal.throwIfAborted();
  heard();
  const found = await proveMachine({ ...context, lifeline }, identity, nursery, room, config.encoders);
  const capabilities = { ...found, sessionsMax: Math.min(found.sessionsMax, config.sessionsMax ?? found.sessionsMax) };
  const link = new AgentLink({
    ...context,
    identity,
    greeting: () => sessions.reports(),
    receive: (message) => sessions.receive(message),
    receiveControl: (connectionId, input) => sessions.receiveControl(connectionId, input),
    heard,
  });
  const heartbeat = new Heartbeat({
    ...context,
    identity,
    intervalMs: Math.min(heartbeatMsMax, aloneMsMax / 3),
    running: () => sessions.running(),
    apply: (seats) => sessions.apply(seats),
    heard,
  });
  void heartbeat.ended.then(end);
  const linked = link.run();
  onClose(() => linked);
  await announceReady(context, identity, capabilities);
  heard();
  const beating = heartbeat.run();
  onClose(() => beating);
  await Promise.all([linked, beating]);
  throw signal.reason;
}

/**
 * What the machine sustains, measured by encoding, and which games it cannot run.
 * @throws EncoderFailed after the control plane was told.
 */
async function proveMachine(
  context: IdentityContext & { readonly lifeline: Lifeline },
  identity: Identity,
  nursery: Nursery,
  room: Room,
  encoders: AgentConfig["encoders"],
): Promise<Capabilities> {
  const { vmId, log, signal } = context;
  const startedAtMs = context.monotonicMs();
  try {
    const programs = await programsOf(context, identity);
    const measured = await context.lifeline.during(nursery.probe(room.command === null ? [] : programs, encoders));
    for (const { name, works, detail } of measured.encoders ?? [])
      log.info({ encoder: name, works, detail }, works ? "an encoder works" : "an encoder does not work");
    const capabilities =
      room.command === null ? { ...measured, missing: withoutRoom(programs, room.missing) } : measured;
    log.info({ ...capabilities, tookMs: Math.round(context.monotonicMs() - startedAtMs) }, "the machine encodes");
    return capabilities;
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof SessionChildError)) throw error;
    await retry(context, async () => {
      const client = await clientOf(context, identity);
      await client.call(orchestratorRoutes.reportError, {
        params: { vmId },
        body: { errorCode: "encoder-failed", errorMessage: error.message.slice(0, errorCharsMax) },
        signal,
      });
    });
    throw new EncoderFailed(`VM ${vmId} cannot encode: ${error.message}`, { cause: error });
  }
}

/** The catalogue's real games. */
async function programsOf(context: IdentityContext, identity: Identity): Promise<GameProgram[]> {
  const { vmId, signal } = context;
  return retry(context, async () => {
    const client = await clientOf(context, identity);
    const { body } = await client.call(agentRoutes.programs, { params: { vmId }, signal });
    return body.programs;
  });
}

const withoutRoom = (programs: readonly GameProgram[], why: string) =>
  Object.fromEntries(programs.map(({ gameId }) => [gameId, why]));

/** Says that the VM takes sessions; while the orchestrator has not yet seen it boot, again and again. */
async function announceReady(context: IdentityContext, identity: Identity, capabilities: Capabilities): Promise<void> {
  const { vmId, log, signal } = context;
  await retry(context, async () => {
    const client = await clientOf(context, identity);
    try {
      await client.call(orchestratorRoutes.markReady, { params: { vmId }, body: { capabilities }, signal });
    } catch (error) {
      if (!(error instanceof Problem) || error.type !== "illegal-transition") throw error;
      const { body: vm } = await client.call(orchestratorRoutes.getVm, { params: { vmId }, signal });
      if (vm.status === "PROVISIONING" || vm.status === "BOOTING")
        throw new Problem("unavailable", `VM ${vmId} is still ${vm.status}.`, { cause: error });
      // It took an earlier call whose answer was lost, or is over, as the first heartbeat will say.
      log.warn({ status: vm.status }, "the VM was past booting already");
    }
  });
  log.info({ vmId }, "ready for sessions");
}

const clientOf = async ({ orchestratorUrl }: IdentityContext, identity: Identity) =>
  createClient({ baseUrl: await orchestratorUrl(), bearer: () => identity.bearer(), timeoutMs: callMsMax });
