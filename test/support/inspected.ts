// A process seen from inside, through Node's inspector: what its heap holds after a collection, which sockets, servers
// and timers keep it alive, and that it has ended, with its last words.
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

const lastLinesMax = 20;

export class Inspected implements Disposable {
  #asked = 0;

  private constructor(
    private readonly socket: WebSocket,
    private readonly ended: Promise<Error>,
  ) {}

  /** Of a child that was started with `inspectable`, its stderr piped and not read by anybody else. */
  static async attach(child: ChildProcess): Promise<Inspected> {
    const lastLines: string[] = [];
    const ended = once(child, "exit").then(
      ([code, signal]) => new Error(`the process has ended (${code ?? signal}):\n${lastLines.join("\n")}`),
    );
    let socket: WebSocket | undefined;
    const found = new Promise<string>((resolve) => {
      createInterface({ input: child.stderr! }).on("line", (line) => {
        const url = /Debugger listening on (ws:\S+)/.exec(line)?.[1];
        if (url !== undefined) resolve(url);
        // It does not end before nobody looks into it any more.
        if (line.startsWith("Waiting for the debugger to disconnect")) socket?.terminate();
        else if (lastLines.push(line) > lastLinesMax) lastLines.shift();
      });
    });
    const url = await Promise.race([found, ended]);
    if (url instanceof Error) throw url;
    socket = new WebSocket(url, { perMessageDeflate: false });
    await once(socket, "open");
    return new Inspected(socket, ended);
  }

  /** As the work ends, unless the process ends before: who waits for its answers would wait until the test's time is over. */
  async whileItLives<T>(work: Promise<T>): Promise<T> {
    const first = await Promise.race([work, this.ended]);
    if (first instanceof Error) throw first;
    return first;
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
