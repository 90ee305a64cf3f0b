// Operators who create, drain, fail and terminate VMs, with and without force, and put sessions on VMs by hand.
import type { RegionId, TemplateId } from "../src/contracts/catalog.js";
import { Problem } from "../src/contracts/problems.js";
import type { Random } from "./kernel/random.js";
import type { Network } from "./network.js";
import type { Scenario } from "./scenario.js";
import type { Stage } from "./stage.js";

export interface OperatorWitness {
  /** Somebody wants the VM ended, or says that it is broken: its sessions may lose their seats. */
  readonly meant: (vmId: string) => void;
  /** A VM that exists now, if any does. */
  readonly anyVm: (random: Random) => string | null;
}

const drainSeconds = 300;

export class Operators {
  readonly #random: Random;
  #working = true;

  constructor(
    private readonly stage: Stage,
    private readonly network: Network,
    private readonly scenario: Scenario,
    private readonly witness: OperatorWitness,
  ) {
    this.#random = stage.random("operators");
    this.#next();
  }

  stop(): void {
    this.#working = false;
  }

  #next(): void {
    this.stage.kernel.after(this.#random.wait(this.scenario.operatorMs), () => {
      if (!this.#working) return;
      void this.#act();
      this.#next();
    });
  }

  async #act(): Promise<void> {
    try {
      await this.#do();
    } catch (error) {
      // An operator who is refused, or gets no answer, leaves it at that.
      if (!(error instanceof Problem)) throw error;
      this.stage.trace.add(`operator refused: ${error.message}`);
    }
  }

  async #do(): Promise<void> {
    const { network, scenario, stage } = this;
    const random = this.#random;
    const what = random.whole(0, 9);
    if (what < 3) {
      const region: RegionId = random.pick(scenario.regions);
      const templateId: TemplateId = random.pick(["L4-360", "RTX-4080", "L4-90"]);
      return void (await network.request("create", ({ replica }) => {
        const { provider } = replica.growth.places(region, templateId);
        const vm = { vmId: replica.newVmId(null), region, templateId, provider, tenant: "studio" };
        return replica.store.vms.create(vm, replica.growth);
      }));
    }
    const vmId = this.witness.anyVm(random);
    if (vmId === null) return;
    if (what < 5) {
      const reason = "drained by an operator";
      this.witness.meant(vmId);
      await network.request(`drain ${vmId}`, ({ replica }) =>
        replica.store.vms.drain(vmId, { reason, deadlineAt: new Date(stage.kernel.nowMs + drainSeconds * 1000) }),
      );
    } else if (what < 8) {
      const force = what === 5;
      if (force) this.witness.meant(vmId);
      const reason = "terminated by an operator";
      await network.request(`terminate ${vmId} ${force}`, ({ replica }) =>
        replica.store.vms.terminate(vmId, { reason, force }),
      );
    } else {
      this.witness.meant(vmId);
      await network.request(`fail ${vmId}`, ({ replica }) =>
        replica.store.vms.fail(vmId, { code: "encoder-failed", message: "It says so." }),
      );
    }
  }
}
