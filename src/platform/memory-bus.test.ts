import { describeBus } from "./bus-conformance.js";
import { type MemoryBus, MemoryHub } from "./memory-bus.js";

const hub = new MemoryHub();
describeBus("memory", {
  open: async () => hub.open(),
  cut: async (bus) => {
    (bus as MemoryBus).cut(true);
    return async () => (bus as MemoryBus).cut(false);
  },
});
