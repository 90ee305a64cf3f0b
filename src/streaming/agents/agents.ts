// What the players' rooms need of agents, wherever those are linked: at this node (links.ts), or at another.
import type { ToAgent } from "../../contracts/signalling.js";

export interface Agents {
  /** Whether the VM's agent can be reached now. */
  linked(vmId: string): boolean;
  /** False when it was not sent. Nothing is kept, and what was sent may still be lost with the link on its way. */
  send(vmId: string, message: ToAgent | Uint8Array): boolean;
}
