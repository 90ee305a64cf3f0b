// The room a session's process lives in: namespaces of its own for processes, System V memory and /tmp.
//
// Guarantees: whatever a game leaves (processes that forked away, X locks and sockets, sound servers, homes, shared memory)
// is in the room, and the kernel clears the room when its process ends, also by kill -9, also when the supervisor's end
// takes it along (PR_SET_PDEATHSIG). Nothing needs to be found and tidied up afterwards, because nothing is outside.
//
// The session's process itself keeps its rights and the machine's network: it is not contained, the games in it are
// (games/x11/sandbox.ts). bubblewrap makes the room: as root directly, else by an unprivileged user namespace. Where
// neither is allowed there is no room, and the agent offers only games that draw in its own process.
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { run } from "../../platform/child-process.js";

/** What a session may fill with files: its /tmp is memory. */
const roomBytesMax = 1024 ** 3;
const bubblewrap = "/usr/bin/bwrap";
/** Our own files and the packages they load, which may stand in the machine's /tmp, too. */
const ourFolders = [
  fileURLToPath(new URL("../../..", import.meta.url)),
  createRequire(import.meta.url)
    .resolve("zod")
    .replace(/\/node_modules\/.*$/, ""),
];

export type Room =
  /** To be put before the program. */
  | { readonly command: readonly string[]; readonly missing: null }
  /** Why there is none, in words for the operator. */
  | { readonly command: null; readonly missing: string };

/** Whether this machine allows rooms, found by making one. */
export async function findRoom(): Promise<Room> {
  if (process.platform !== "linux") return { command: null, missing: "real games need Linux" };
  const command = roomCommand(process.getuid?.() === 0);
  const missing = await run([...command, process.execPath, "--version"]).then(
    ({ code, output }) => (code === 0 ? null : `no namespaces for games here: ${output.trim()}`),
    () => "bubblewrap is not installed: apt-get install bubblewrap",
  );
  return missing === null ? { command, missing } : { command: null, missing };
}

function roomCommand(root: boolean): string[] {
  return [
    bubblewrap,
    ...["--dev-bind", "/", "/", "--proc", "/proc"],
    ...["--size", String(roomBytesMax), "--tmpfs", "/tmp"],
    ...ourFolders.flatMap((folder) => ["--ro-bind", folder, folder]),
    ...["--unshare-pid", "--unshare-ipc", "--die-with-parent"],
    ...(root ? ["--cap-add", "ALL"] : ["--unshare-user"]),
    "--",
  ];
}
