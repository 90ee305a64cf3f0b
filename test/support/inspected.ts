// A process seen from inside, through Node's inspector: what its heap holds after a collection, and which sockets,
// servers and timers keep it alive.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { WebSocket } from "ws";

/** Before the program, on node's command line. */
export const inspectable = "--inspect=127.0.0.1:0";

export interface Inside {
  /** JavaScript objects and the memory of its buffers, bytes. */
  readonly heldBytes: number;
  /** How many of each kind (`process.getActiveResourcesInfo`). */
  readonly resources: Readonly<Record<string, number>>;
}

export class Inspected implements Disposable {
  #asked = 0;

  private constructor(private readonly socket: WebSocket) {}

  /** Of a child that was started with `inspectable`, its stderr piped and not read by anybody else. */
  static async attach(child: ChildProcess): Promise<Inspected> {
    for await (const line of createInterface({ input: child.stderr! })) {
      const url = /Debugger listening on (ws:\S+)/.exec(line)?.[1];
      if (url === undefined) continue;
      child.stderr!.resume();
      const socket = new WebSocket(url, { perMessageDeflate: false });
      await once(socket, "open");
      return new Inspected(socket);
    }
    throw new Error("the process ended, or does not let itself be inspected");
  }

  async look(): Promise<Inside> {
    // Twice: what has a finalizer goes at the second.
    await this.#ask("HeapProfiler.collectGarbage");
    await this.#ask("HeapProfiler.collectGarbage");
    const expression = `JSON.stringify({
      heldBytes: process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers,
      resources: process.getActiveResourcesInfo().reduce((all, one) => ({ ...all, [one]: (all[one] ?? 0) + 1 }), {}),
    })`;
    const { result } = await this.#ask("Runtime.evaluate", { expression });
    return JSON.parse(result.value) as Inside;
  }

  [Symbol.dispose](): void {
    this.socket.terminate();
  }

  async #ask(method: string, params: object = {}): Promise<{ result: { value: string } }> {
    const id = ++this.#asked;
    this.socket.send(JSON.stringify({ id, method, params }));
    for (;;) {
      const [message] = await once(this.socket, "message");
      const answer = JSON.parse(String(message));
      if (answer.error !== undefined) throw new Error(`${method}: ${answer.error.message}`);
      if (answer.id === id) return answer.result;
    }
  }
}
