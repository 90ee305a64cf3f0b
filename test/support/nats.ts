// The real nats-server with JetStream, on a free port and a folder of its own: it can be killed and started again.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { type VmEvent, vmEvent } from "../../src/contracts/events.js";
import { freePort } from "./free-port.js";

const program = process.env.NATS_SERVER_PATH ?? "/usr/sbin/nats-server";

export interface TestNats extends AsyncDisposable {
  readonly server: string;
  start(): Promise<void>;
  /** As a power cut would, but for what the kernel has. */
  kill(): Promise<void>;
  /** Stops it where it is, or lets it go on: connections stay open and nothing is read. */
  pause(paused: boolean): void;
  /** Every message of the stream in its order; none: there is no stream. */
  read(stream: string): Promise<{ subject: string; headers: Record<string, string>; event: VmEvent }[]>;
}

export async function startNats(options: { args?: readonly string[] } = {}): Promise<TestNats> {
  const folder = await mkdtemp(join(tmpdir(), "hotseat-nats-"));
  const port = await freePort();
  let child: ChildProcess | null = null;
  const kill = async () => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, "exit");
    child.kill("SIGKILL");
    await gone;
  };
  const start = async () => {
    const args = ["--addr", "127.0.0.1", "--port", String(port), "--jetstream", "--store_dir", folder];
    const started = spawn(program, [...args, ...(options.args ?? [])], { stdio: ["ignore", "ignore", "pipe"] });
    child = started;
    await new Promise<void>((ready, reject) => {
      const lines: string[] = [];
      started.once("exit", () => reject(new Error(`nats-server ended:\n${lines.join("\n")}`)));
      createInterface({ input: started.stderr }).on("line", (line) => {
        lines.push(line);
        if (line.includes("Server is ready")) ready();
      });
    });
  };
  await start();
  const server = `nats://127.0.0.1:${port}`;
  return {
    server,
    start,
    kill,
    pause: (paused) => void child?.kill(paused ? "SIGSTOP" : "SIGCONT"),
    async read(stream) {
      const connection = await connect({ servers: server });
      try {
        const { streams } = await jetstreamManager(connection);
        const names = await streams.names().next();
        if (!names.includes(stream)) return [];
        const { state } = await streams.info(stream);
        if (state.messages === 0) return [];
        const consumer = await jetstream(connection).consumers.get(stream);
        const read: Awaited<ReturnType<TestNats["read"]>> = [];
        for await (const message of await consumer.consume()) {
          read.push({
            subject: message.subject,
            headers: Object.fromEntries((message.headers?.keys() ?? []).map((key) => [key, message.headers!.get(key)])),
            event: vmEvent.parse(message.json()),
          });
          if (message.seq === state.last_seq) break;
        }
        return read;
      } finally {
        await connection.close();
      }
    },
    async [Symbol.asyncDispose]() {
      await kill();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
