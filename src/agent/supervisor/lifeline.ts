// How long the agent lives on its own: so long as someone plays, and a limited time otherwise.
//
// A local VM is a detached process nobody may ever come back for, a cloud VM costs money while it runs. The control
// plane is there when a heartbeat is answered or the link to ingest is heard; a stream in progress needs neither, and
// its end starts the time anew, so that a player whose network fails for a moment finds the session again. What the
// agent does of itself, measuring its machine, asks for nobody meanwhile, and is not time alone either.
const checkMsMax = 1_000;

export class Lifeline {
  #neededAtMs: number;
  #atWork = false;

  constructor(
    private readonly aloneMsMax: number,
    private readonly monotonicMs: () => number,
  ) {
    this.#neededAtMs = monotonicMs();
  }

  /** The control plane was heard. */
  heard(): void {
    this.#neededAtMs = this.monotonicMs();
  }

  /** Work that has a time limit of its own; the agent's starts anew after it. */
  async during<T>(work: Promise<T>): Promise<T> {
    this.#atWork = true;
    try {
      return await work;
    } finally {
      this.#atWork = false;
      this.heard();
    }
  }

  /** Resolves when the agent has been alone for too long; never after the signal. */
  ranOut(playing: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout | undefined;
      const check = () => {
        if (playing() || this.#atWork) this.heard();
        const leftMs = this.#neededAtMs + this.aloneMsMax - this.monotonicMs();
        if (leftMs <= 0) resolve();
        else timer = setTimeout(check, Math.min(leftMs, checkMsMax));
      };
      check();
      signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
    });
  }
}
