// Free seats given and given back in batches, in memory: as placement/seats-store.ts does it in one statement each.
import { vmEventOf } from "../../src/orchestrator/events/outbox-store.js";
import { playedMsMin } from "../../src/orchestrator/placement/eta.js";
import { GatheredTimes } from "../../src/orchestrator/placement/seat-times.js";
import { unitsPerVm } from "../../src/orchestrator/placement/seats.js";
import type {
  ChosenSeat,
  Given,
  GivenBack,
  GivenOutcome,
  Leaving,
  Seats,
  VmNews,
} from "../../src/orchestrator/store.js";
import { nextStatus, takesSessions } from "../../src/orchestrator/vm/lifecycle.js";
import { placeOf } from "../../src/orchestrator/vm/vm-rows-store.js";
import type { MemoryTables, PlacementRow, VmRow } from "./tables.js";

const idOf = ({ placement }: ChosenSeat) => placement.sessionId;

export class MemorySeats implements Seats {
  constructor(private readonly tables: MemoryTables) {}

  async give(seats: readonly ChosenSeat[], at: Date): Promise<Given> {
    return this.tables.commit(() => {
      const { tables } = this;
      const waits = tables.someoneWaits;
      const filled = new Map<VmRow, number>();
      const seated: { seat: ChosenSeat; vm: VmRow }[] = [];
      const asked = new Set<string>();
      const outcomes = seats.map((seat): GivenOutcome => {
        const { sessionId } = seat.placement;
        if (tables.placements.has(sessionId) || asked.has(sessionId)) return "known";
        asked.add(sessionId);
        const vm = tables.vms.get(seat.vmId);
        if (vm?.reachable && takesSessions(vm.status)) {
          const units = (filled.get(vm) ?? vm.usedUnits) + seat.units;
          filled.set(vm, units);
          if (units <= unitsPerVm && !waits) {
            seated.push({ seat, vm });
            return "seated";
          }
        }
        return waits ? "queue" : "lost";
      });
      // Their tickets are drawn in the order in which PostgreSQL's statement has to insert them.
      const inserted = seated.toSorted((a, b) => (idOf(a.seat) < idOf(b.seat) ? -1 : 1));
      for (const { seat, vm } of inserted) this.#seat(seat, vm, at);
      for (const vm of new Set(seated.map(({ vm }) => vm)))
        tables.changeVm(vm, "assigned", { usedUnits: sum(seated, vm) + vm.usedUnits });
      tables.append(
        seated.map(({ seat, vm }) =>
          vmEventOf("SessionAssigned", vm, vm.vmId, { ...placeOf(vm), sessionId: seat.placement.sessionId }),
        ),
        at,
      );
      return { outcomes, vms: this.#news(seats.map(({ vmId }) => tables.vms.get(vmId))) };
    });
  }

  async giveBack(leavings: readonly Leaving[], at: Date): Promise<GivenBack> {
    return this.tables.commit(() => {
      const { tables } = this;
      const gone = new Map<PlacementRow, { leaving: Leaving; vm: VmRow; units: number; assignedAtMs: number }>();
      const sat = leavings.map(({ sessionId }) => tables.placements.get(sessionId));
      const vms = sat.map((placement) => placement?.seat?.vm);
      for (const [i, leaving] of leavings.entries()) {
        const placement = sat[i];
        if (!placement?.seat || gone.has(placement)) continue;
        const { vm, units, assignedAtMs } = placement.seat;
        const meant =
          (leaving.vmId === null || leaving.vmId === vm.vmId) && (leaving.expected?.includes(vm.version) ?? true);
        if (meant && nextStatus(vm.status, "released") !== null)
          gone.set(placement, { leaving, vm, units, assignedAtMs });
      }
      const freed = new Map<VmRow, number>();
      for (const { vm, units } of gone.values()) freed.set(vm, (freed.get(vm) ?? 0) + units);
      for (const placement of gone.keys()) tables.removePlacement(placement);
      for (const [vm, units] of freed) {
        const usedUnits = vm.usedUnits - units;
        tables.changeVm(vm, usedUnits === 0 ? "emptied" : "released", { usedUnits });
        if (vm.status === "DRAINING" && usedUnits === 0) tables.signal("reconcile");
      }
      const events = [...gone.values()].map(({ leaving: { sessionId, reason }, vm }) =>
        vmEventOf("SessionReleased", vm, vm.vmId, { ...placeOf(vm), sessionId, reason, next: "none" }),
      );
      tables.append(events, at);
      if (gone.size > 0) tables.signal("waiting");
      const times = new GatheredTimes();
      for (const [{ demand }, { assignedAtMs }] of gone) {
        const heldMs = at.getTime() - assignedAtMs;
        if (heldMs >= playedMsMin) times.add([{ gameId: demand.game.gameId, seats: 1, averageMs: heldMs }]);
      }
      return {
        times: times.take(),
        left: sat.map((placement) => placement !== undefined && gone.has(placement)),
        vms: this.#news(vms),
      };
    });
  }

  #seat({ placement, units, why }: ChosenSeat, vm: VmRow, at: Date): void {
    const { tables } = this;
    tables.sit(tables.addPlacement(placement, null), vm, units, at.getTime());
    tables.decisions.set(placement.sessionId, { vmId: vm.vmId, decidedAt: at, why });
  }

  #news(vms: readonly (VmRow | undefined)[]): VmNews[] {
    return [...new Set(vms)].flatMap((vm) =>
      vm === undefined
        ? []
        : [
            {
              vmId: vm.vmId,
              status: vm.status,
              version: vm.version,
              reachable: vm.reachable,
              usedUnits: vm.usedUnits,
            },
          ],
    );
  }
}

const sum = (seated: readonly { seat: ChosenSeat; vm: VmRow }[], of: VmRow): number =>
  seated.reduce((units, { seat, vm }) => (vm === of ? units + seat.units : units), 0);
