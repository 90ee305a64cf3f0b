// The session's places for its programs, in the room's /tmp: a home, and the folder of the display's socket. Both belong to
// the programs' user; both are gone with the room.
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { displaySockets, type Sandbox, uidOfRoom } from "./sandbox.js";

const home = "/tmp/player";

/** Safe to repeat. */
export function furnish(): Sandbox {
  const uid = process.getuid?.() === 0 ? uidOfRoom() : null;
  const sandbox = { uid, home, sockets: displaySockets };
  makeFolder(sandbox, displaySockets);
  makeFolder(sandbox, home);
  return sandbox;
}

/** `path` is relative to the home. */
export function putInHome(sandbox: Sandbox, path: string, content: string): void {
  const folders = dirname(path) === "." ? [] : dirname(path).split("/");
  const folder = folders.reduce((parent, name) => makeFolder(sandbox, join(parent, name)), sandbox.home);
  const file = join(folder, path.split("/").at(-1)!);
  writeFileSync(file, content, { mode: 0o600 });
  own(sandbox, file);
}

function makeFolder(sandbox: Sandbox, folder: string): string {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  own(sandbox, folder);
  return folder;
}

const own = ({ uid }: Sandbox, path: string) => {
  if (uid !== null) chownSync(path, uid, uid);
};
