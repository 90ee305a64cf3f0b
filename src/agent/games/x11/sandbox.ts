// What a game, its display and its sound server may see and use: how a program is run inside the session's room.
//
// Guarantees: of the machine's files it sees /usr, some of /etc that programs need, and the game's folder, all read-only;
// it writes only to its home and its /tmp, which are the room's. It sees no process but its own, no network unless it is
// allowed one, no device but the usual null and random ones (the GPU, where there is one; its own gamepads), no environment but the one
// given. It has no capability, gains none (no_new_privs), and lives in the limits given. It dies with the session's process.
//
// Where the agent is root, each session's programs have a uid of their own, made of the number of the room's PID
// namespace: the kernel keeps those apart, so nobody needs to. Where it is not, a user namespace stands between.
import { readlinkSync } from "node:fs";

export interface SandboxLimits {
  readonly memoryMb: number;
  readonly processesMax: number;
}

export interface Sandbox {
  /** Null: the agent is not root, and its own uid is used. */
  readonly uid: number | null;
  /** The session's, in the room; it is the program's home. */
  readonly home: string;
  readonly sockets: string;
}

export interface Confined {
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly folder?: string;
  readonly network: boolean;
  /** Devices of the machine that it sees besides the usual, and the group they may belong to. */
  readonly devices?: { readonly nodes: readonly string[]; readonly group: number | null };
  readonly limits: SandboxLimits;
}

/** Where the program finds its home, and the displays' sockets, which clients of X know by this name only. */
export const sandboxHome = "/home/player";
export const displaySockets = "/tmp/.X11-unix";

const etc = ["alternatives", "fonts", "glvnd", "ld.so.cache", "localtime", "machine-id", "OpenCL", "vulkan"];
const etcOfNetwork = ["hosts", "nsswitch.conf", "resolv.conf", "ssl"];
/** What drivers look at, and the devices of a GPU, where there is one. */
const hardware = ["/sys/dev", "/sys/devices"];
const gpu = ["dri", "nvidia0", "nvidiactl", "nvidia-modeset", "nvidia-uvm"];
const path = "/usr/local/bin:/usr/bin:/usr/local/games:/usr/games";
const openFilesMax = 4_096;
/** Each of /tmp and /dev/shm. */
const scratchBytesMax = 256 * 1024 ** 2;

/** Uids from here on belong to nobody (systemd.io/UIDS-GIDS: 0x70000000–0x7fffffff); namespaces count from the second. */
const uidBase = 0x7000_0000;
const namespaceBase = 0xf000_0000;

/** A uid no other session on this machine has while this one lives. */
export function uidOfRoom(): number {
  const [number] = /\d+/.exec(readlinkSync("/proc/self/ns/pid")) ?? [];
  return uidBase + (Number(number) - namespaceBase);
}

/** The command that runs `confined.command` in the sandbox. */
export function confine(sandbox: Sandbox, confined: Confined): string[] {
  const { uid, home, sockets } = sandbox;
  const { command, environment, folder, network, devices, limits } = confined;
  const settings = { HOME: sandboxHome, XDG_RUNTIME_DIR: sandboxHome, PATH: path, LANG: "C.UTF-8", ...environment };
  return [
    "/usr/bin/bwrap",
    ...["--ro-bind", "/usr", "/usr"],
    ...["bin", "sbin", "lib", "lib64"].flatMap((name) => ["--symlink", `usr/${name}`, `/${name}`]),
    ...["--proc", "/proc", "--dev", "/dev"],
    ...["/tmp", "/dev/shm"].flatMap((place) => [
      "--perms",
      "1777",
      "--size",
      String(scratchBytesMax),
      "--tmpfs",
      place,
    ]),
    // What only leads to something: bubblewrap alone would make it for root alone.
    ...["/etc", "/home", "/sys", ...parents(folder)].flatMap((place) => ["--perms", "0755", "--dir", place]),
    ...[...etc, ...(network ? etcOfNetwork : [])].flatMap((name) => seen("--ro-bind-try", `/etc/${name}`)),
    ...hardware.flatMap((place) => seen("--ro-bind-try", place)),
    ...gpu.flatMap((name) => seen("--dev-bind-try", `/dev/${name}`)),
    ...(devices?.nodes ?? []).flatMap((node) => seen("--dev-bind", node)),
    ...["--bind", sockets, displaySockets, "--bind", home, sandboxHome],
    ...(folder === undefined ? [] : seen("--ro-bind", folder)),
    ...["--chdir", folder ?? sandboxHome],
    ...["--unshare-pid", "--unshare-uts", "--hostname", "game", "--die-with-parent"],
    ...(network ? [] : ["--unshare-net"]),
    ...["--clearenv", ...Object.entries(settings).flatMap(([name, value]) => ["--setenv", name, value])],
    ...(uid === null
      ? ["--unshare-user"]
      : ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID", "--cap-add", "CAP_SETPCAP"]),
    "--",
    ...limitCommand(limits),
    ...(uid === null ? [] : asUser(uid, devices?.group ?? null)),
    ...command,
  ];
}

const seen = (how: string, place: string) => [how, place, place];

/** The folders above a folder, the highest first, without the root. */
const parents = (folder = "/") => {
  const names = folder.split("/").slice(1, -1);
  return names.map((_, i) => `/${names.slice(0, i + 1).join("/")}`);
};

const limitCommand = ({ memoryMb, processesMax }: SandboxLimits) => [
  "/usr/bin/prlimit",
  "--core=0",
  `--nofile=${openFilesMax}`,
  `--data=${memoryMb * 1024 ** 2}`,
  `--nproc=${processesMax}`,
  "--",
];

const asUser = (uid: number, group: number | null) => [
  "/usr/bin/setpriv",
  ...["--reuid", String(uid), "--regid", String(uid)],
  ...(group === null ? ["--clear-groups"] : ["--groups", String(group)]),
  ...["--inh-caps=-all", "--bounding-set=-all", "--no-new-privs", "--"],
];
