// Three network namespaces, so that a browser and a machine have no way to each other but a server in between:
//
//   player 10.98.1.2 ── 10.98.1.1 [ server: 203.0.113.1 ] 10.98.2.1 ── 10.98.2.2 machine
//
// The server forwards no packets. TURN and a TCP door to the machine's web server run in it: what a public host offers.
// Making namespaces takes root; where that is not to be had the tests fail, for a test that cannot run has not passed.
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromiumPath } from "./browser.js";

const ip = process.env.IP_PATH ?? "/sbin/ip";
const run = (...args: string[]) => execFileSync(ip, args, { stdio: ["ignore", "ignore", "inherit"] });

export type Place = "player" | "server" | "machine";

export interface RelayedNetwork extends AsyncDisposable {
  /** The server's address, the only one both sides reach. */
  readonly serverAddress: string;
  readonly machineAddress: string;
  /** The command that runs another there. */
  within(place: Place): string[];
  /** A program that is Chromium, at the player's; it takes certificates of the trusted key as if vouched for, no others. */
  readonly chromium: string;
  /** Takes TCP connections at the server's port to the same port of the machine. */
  openDoor(port: number): Promise<void>;
  /** The player's firewall lets no UDP through until it is disposed. */
  dropPlayerUdp(): Disposable;
  /** Nor TCP to that port. */
  dropPlayerTcp(port: number): Disposable;
  /** The player has another address from now on, and no longer the one before: another network, as a phone changes it. */
  movePlayer(): void;
  /** The player's cable. */
  playerLink(state: "up" | "down"): void;
}

/** `trustedKeyHash`: as coturn.ts makes it. */
export function relayedNetwork({ trustedKeyHash }: { trustedKeyHash: string }): RelayedNetwork {
  if (process.getuid?.() !== 0)
    throw new Error("This test makes network namespaces, which takes root: run it as root, as CI does (docs/turn.md).");
  const name = (place: Place) => `hotseat-${process.pid}-${place}`;
  const folder = mkdtempSync(join(tmpdir(), "hotseat-network-"));
  const doors: AbortController[] = [];
  const places: readonly Place[] = ["server", "player", "machine"];
  const within = (place: Place) => [ip, "netns", "exec", name(place)];
  const serverAddress = "203.0.113.1";
  let playerHost = 2;
  const sides = { player: "10.98.1", machine: "10.98.2" } as const;

  for (const place of places) {
    run("netns", "add", name(place));
    run("-n", name(place), "link", "set", "lo", "up");
  }
  run("-n", name("server"), "address", "add", `${serverAddress}/32`, "dev", "lo");
  const [command = "", ...args] = within("server");
  execFileSync(command, [...args, "sh", "-c", "echo 0 >/proc/sys/net/ipv4/ip_forward"]);
  for (const side of ["player", "machine"] as const) {
    const net = sides[side];
    run("-n", name("server"), "link", "add", side, "type", "veth", "peer", "name", "uplink", "netns", name(side));
    run("-n", name("server"), "address", "add", `${net}.1/24`, "dev", side);
    run("-n", name("server"), "link", "set", side, "up");
    run("-n", name(side), "address", "add", `${net}.2/24`, "dev", "uplink");
    run("-n", name(side), "link", "set", "uplink", "up");
    run("-n", name(side), "route", "add", "default", "via", `${net}.1`);
  }
  // Rules are asked in order; the local table's, first by birth, moves back to leave room for the firewall's.
  run("-n", name("server"), "rule", "add", "pref", "10", "lookup", "local");
  run("-n", name("server"), "rule", "del", "pref", "0");

  const chromium = join(folder, "chromium");
  const trust = `--ignore-certificate-errors-spki-list=${trustedKeyHash}`;
  const inPlace = [...within("player"), chromiumPath, trust].join(" ");
  writeFileSync(chromium, `#!/bin/sh\nexec ${inPlace} "$@"\n`);
  chmodSync(chromium, 0o755);

  const dropped = (preference: string, ...what: string[]): Disposable => {
    const rule = ["pref", preference, "iif", "player", ...what, "blackhole"];
    run("-n", name("server"), "rule", "add", ...rule);
    return { [Symbol.dispose]: () => run("-n", name("server"), "rule", "del", ...rule) };
  };

  return {
    serverAddress,
    machineAddress: `${sides.machine}.2`,
    within,
    chromium,
    async openDoor(port) {
      const door = new AbortController();
      doors.push(door);
      const [command = "", ...args] = within("server");
      const program = "test/support/tcp-door.mjs";
      const child = spawn(
        command,
        [...args, process.execPath, program, serverAddress, `${sides.machine}.2`, String(port)],
        { signal: door.signal, killSignal: "SIGKILL", stdio: ["ignore", "pipe", "inherit"] },
      );
      child.on("error", () => {});
      await once(child.stdout, "data");
    },
    dropPlayerUdp: () => dropped("5", "ipproto", "udp"),
    dropPlayerTcp: (port) => dropped("6", "ipproto", "tcp", "dport", String(port)),
    movePlayer() {
      const net = sides.player;
      const before = playerHost++;
      run("-n", name("player"), "address", "add", `${net}.${playerHost}/24`, "dev", "uplink");
      run("-n", name("player"), "address", "del", `${net}.${before}/24`, "dev", "uplink");
      // The kernel drops what depended on the first address of a network.
      run("-n", name("player"), "address", "replace", `${net}.${playerHost}/24`, "dev", "uplink");
      run("-n", name("player"), "route", "replace", "default", "via", `${net}.1`);
    },
    playerLink(state) {
      run("-n", name("server"), "link", "set", "player", state);
    },
    async [Symbol.asyncDispose]() {
      for (const door of doors) door.abort();
      for (const place of places) run("netns", "delete", name(place));
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
