// One life of a process in virtual time: a replica of the orchestrator, an agent, a player's backend.
//
// Once it has crashed nothing of it runs any more: its timers are dropped and what it waits for never comes. While it is
// paused (a collector that stops the world, a VM that migrates) its timers and answers wait, and all come late together.
import type { Kernel } from "./kernel.js";

export class Process {
  #alive = true;
  #pausedUntilMs = 0;

  constructor(
    readonly name: string,
    private readonly kernel: Kernel,
  ) {}

  get alive(): boolean {
    return this.#alive;
  }

  get running(): boolean {
    return this.#alive && this.kernel.nowMs >= this.#pausedUntilMs;
  }

  crash(): void {
    this.#alive = false;
  }

  pause(ms: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, this.kernel.nowMs + Math.ceil(ms));
  }

  /** What it answers calls it off. */
  after(delayMs: number, run: () => void): () => void {
    const due = () => {
      if (!this.#alive) return;
      if (this.running) run();
      else cancel = this.kernel.after(this.#pausedUntilMs - this.kernel.nowMs, due);
    };
    let cancel = this.kernel.after(delayMs, due);
    return () => cancel();
  }

  /** Never resolves after a crash. */
  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.after(ms, resolve));
  }
}
