// One role as a process of its own, to be killed.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { cli } from "./hotseat.js";

export interface RoleProcess extends AsyncDisposable {
  readonly url: string;
  readonly child: ChildProcess;
  kill(): Promise<void>;
}

/** Resolves once it listens. */
export async function startRole(
  role: "orchestrator" | "session" | "streaming",
  { port, args, env = {} }: { port: number; args: readonly string[]; env?: Record<string, string> },
): Promise<RoleProcess> {
  const child = spawn(process.execPath, [cli, role, "--port", String(port), ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const exited = once(child, "exit");
  await new Promise<void>((resolve, reject) => {
    createInterface({ input: child.stdout }).on("line", (line) => line.includes(`${role} listens`) && resolve());
    void exited.then(([code]) => reject(new Error(`hotseat ${role} exited with ${code}`)));
  });
  const end = async (signal: NodeJS.Signals) => {
    child.kill(signal);
    await exited;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    child,
    kill: () => end("SIGKILL"),
    [Symbol.asyncDispose]: () => end("SIGTERM"),
  };
}
