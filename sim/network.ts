// Requests from agents, session roles and operators to the orchestrator, by a balancer that knows who has died but not
// who stands still. What is lost, the caller learns by a time-out only, and the request may have been carried out.
import { Problem } from "../src/contracts/problems.js";
import type { Random } from "./kernel/random.js";
import type { Life, ReplicaSlot } from "./replica-slot.js";
import type { Stage } from "./stage.js";

const requestMsMax = 10_000;
/** So much later than it was sent a request may still arrive: beyond it nobody carries it out any more. */
export const lateMsMax = 60_000;

export class Network {
  readonly #random: Random;

  constructor(
    private readonly stage: Stage,
    private readonly slots: readonly ReplicaSlot[],
  ) {
    this.#random = stage.random("network");
  }

  /** A replica that serves; null: none does. */
  choose(): Life | null {
    const serving = this.slots.flatMap(({ life }) => (life?.serving ? [life] : []));
    return serving.length === 0 ? null : this.#random.pick(serving);
  }

  /** @throws Problem unavailable after a time-out, or what the orchestrator answers */
  request<T>(what: string, handle: (life: Life) => Promise<T>): Promise<T> {
    const { kernel, faults } = this.stage;
    const life = this.choose();
    return new Promise<T>((resolve, reject) => {
      const unanswered = () => reject(new Problem("unavailable", `${what} got no answer`));
      if (life === null) {
        kernel.after(5, unanswered);
        return;
      }
      const patience = kernel.after(requestMsMax, unanswered);
      if (faults.strikes("request-lost", what)) return;
      const late = faults.strikes("reordered-message", what)
        ? faults.random("reordered-message").between(100, 8_000)
        : 0;
      life.process.after(this.#random.between(1, 20) + late, () => {
        const answered = (answer: () => void) => {
          if (faults.strikes("reply-lost", what)) return;
          patience();
          answer();
        };
        handle(life).then(
          (answer) => answered(() => resolve(answer)),
          (error: unknown) => answered(() => reject(error)),
        );
      });
      if (!faults.strikes("duplicate-message", what)) return;
      const again = faults.random("duplicate-message").between(10, 15_000);
      // Nobody hears the answer to the second one.
      life.process.after(again, () => void handle(life).catch(() => undefined));
    });
  }
}
