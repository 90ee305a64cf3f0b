// A session's gamepads as devices of the machine, for games that read gamepads themselves. They are made before the game
// starts, since its sandbox shows it these devices and no others, and stay until the session ends, with its process.
//
// Never met a real /dev/uinput: no machine of ours has one. What is written to it is tested against the kernel's headers,
// this file against one that records.
import { chownSync, existsSync, readdirSync, readFileSync } from "node:fs";
import type { GamepadState } from "../../contracts/input.js";
import { rest } from "../input/held.js";
import { UinputError, type UinputFile } from "./uinput.js";
import { changes, creation, requests, sysNameBytes } from "./xbox-pad.js";

/** What these devices look like from elsewhere on the machine. */
export interface InputDevices {
  /** The nodes in /dev/input of the device that /sys/devices/virtual/input has under this name. */
  nodesOf(sysName: string): string[];
  /** Lets this user open a node. */
  own(node: string, uid: number): void;
}

export const machineDevices: InputDevices = {
  nodesOf: (sysName) =>
    readdirSync(`/sys/devices/virtual/input/${sysName}`)
      .filter((name) => /^(?:event|js)\d+$/.test(name))
      .map((name) => `/dev/input/${name}`)
      .filter((node) => existsSync(node)),
  own: (node, uid) => chownSync(node, uid, -1),
};

/** The group that udev gives input devices to; null where there is none. */
export function inputGroup(groups = readFileSync("/etc/group", "utf8")): number | null {
  const [, id] = /^input:[^:]*:(\d+):/m.exec(groups) ?? [];
  return id === undefined ? null : Number(id);
}

export interface PadMaking {
  readonly open: () => Promise<UinputFile>;
  readonly devices: InputDevices;
  /** The user of the machine who gets them; null: our own. Where udev has rules for gamepads, its group may, too. */
  readonly uid: number | null;
}

export class VirtualPads {
  readonly #pads: VirtualPad[] = [];

  /** @throws UinputError; none is left then. */
  static async open(count: number, making: PadMaking): Promise<VirtualPads> {
    const pads = new VirtualPads();
    try {
      while (pads.#pads.length < count) pads.#pads.push(new VirtualPad(await making.open(), making));
    } catch (error) {
      pads.close();
      throw error;
    }
    return pads;
  }

  /** What a game must see to have them. */
  get nodes(): string[] {
    return this.#pads.flatMap(({ nodes }) => nodes);
  }

  /** Nothing happens for a pad beyond those there are. */
  apply(state: GamepadState): void {
    this.#pads[state.index]?.apply(state);
  }

  /** Every pad at rest. */
  release(): void {
    for (const [index, pad] of this.#pads.entries()) pad.apply({ index, ...rest });
  }

  close(): void {
    for (const pad of this.#pads.splice(0)) pad.close();
  }
}

class VirtualPad {
  readonly nodes: readonly string[];
  #state: GamepadState | null = null;

  constructor(
    private readonly file: UinputFile,
    { devices, uid }: PadMaking,
  ) {
    try {
      for (const { request, argument } of creation()) file.request(request, argument);
      this.nodes = nodesOf(file, devices);
      if (uid !== null) for (const node of this.nodes) devices.own(node, uid);
    } catch (error) {
      file.close();
      if (error instanceof UinputError) throw error;
      throw new UinputError(`its gamepads cannot be handed over: ${String(error)}`, { cause: error });
    }
  }

  apply(state: GamepadState): void {
    const bytes = changes(this.#state, state);
    this.#state = state;
    if (bytes.length > 0) this.file.write(bytes);
  }

  /** The kernel takes the device away with the file: nothing is asked for that it might refuse, and leave the others. */
  close(): void {
    this.file.close();
  }
}

function nodesOf(file: UinputFile, devices: InputDevices): string[] {
  const sysName = new Uint8Array(sysNameBytes);
  file.request(requests.sysName, sysName);
  const nodes = devices.nodesOf(new TextDecoder().decode(sysName.subarray(0, sysName.indexOf(0))));
  if (nodes.length === 0) throw new UinputError("gamepads that are made do not appear in /dev/input");
  return nodes;
}
