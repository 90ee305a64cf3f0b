// What must exist before anything of ours can run: npm's packages and dist/. Only Node's own modules, no packages.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, rmSync, statfsSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const at = (...path) => join(root, ...path);
const outputCharsMax = 64 * 1024;
const progressMs = 10_000;
/** Measured: 501 MB on disk, with dev packages. */
const installMBMin = 600;
const endMsMax = 2_000;

/** A step that failed; the message says what to do. */
export class PrepareError extends Error {
  name = "PrepareError";
}

/** Installs npm's packages when there are none or the lock file is newer than they are. */
export async function ensureDependencies() {
  const installed = at("node_modules/.package-lock.json"); // npm writes it last
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(at("package-lock.json")).mtimeMs) return;
  const freeMB = freeMegabytes();
  if (freeMB < installMBMin)
    throw new PrepareError(
      `The disk is full: ${freeMB} MB are free in ${root}, and the packages need ${installMBMin} MB.`,
    );
  // Under `npm start` npm says where it is itself; a bare `node scripts/…` looks on the PATH.
  const npm = process.env.npm_execpath;
  const program = npm !== undefined && basename(npm) === "npm-cli.js" ? [process.execPath, npm] : ["npm"];
  await step("Installing npm packages (about a minute)", [
    ...program,
    ...["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund", "--loglevel=error"],
  ]);
  // On a full disk npm leaves optional packages out, half-writes others, and succeeds all the same.
  if (freeMegabytes() > 1) return;
  rmSync(installed, { force: true });
  throw new PrepareError(`The disk is full: the packages do not fit in ${root}. Free about 1 GB, then start again.`);
}

function freeMegabytes() {
  const { bavail, bsize } = statfsSync(root);
  return Math.floor((bavail * bsize) / 2 ** 20);
}

/** Builds dist/ when it is missing or older than what it is made of. */
export async function ensureBuild() {
  const made = [at("dist/cli/main.js"), at("dist/public/play.js")];
  const sources = newest(at("src"), at("bench"), at("scripts/build.mjs"), at("package-lock.json"));
  if (made.every((file) => existsSync(file) && statSync(file).mtimeMs >= sources)) return;
  await step("Building", [process.execPath, at("scripts/build.mjs")]);
}

/** Folders count, too: theirs is the only time that changes when a file is deleted. */
function newest(...paths) {
  let time = 0;
  for (const path of paths) {
    const found = statSync(path);
    const inside = found.isDirectory() ? newest(...readdirSync(path).map((name) => join(path, name))) : 0;
    time = Math.max(time, found.mtimeMs, inside);
  }
  return time;
}

/**
 * Runs one command to its end, saying how long it takes. A signal meant for us ends it, and then us; Ctrl-C reaches it
 * from the terminal as well, and SIGTERM twice does no harm. @throws PrepareError
 */
export async function step(title, [program, ...args], { env = process.env } = {}) {
  const began = Date.now();
  const seconds = () => `${((Date.now() - began) / 1000).toFixed(0)} s`;
  console.log(`${title} …`);
  const child = spawn(program, args, { cwd: root, env, stdio: ["ignore", "pipe", "pipe"] });
  const progress = setInterval(() => console.log(`  … ${seconds()}`), progressMs);
  let received = null;
  let force;
  const onSignal = (signal) => {
    received = signal;
    child.kill("SIGTERM");
    force ??= setTimeout(() => child.kill("SIGKILL"), endMsMax);
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => {
      output = (output + text).slice(-outputCharsMax);
    });
  }
  try {
    const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
    if (received !== null) process.exit(received === "SIGINT" ? 130 : 143);
    if (code !== 0) throw new PrepareError(`${title} failed.\n${shorten(output)}`);
    console.log(`  done in ${seconds()}`);
  } finally {
    clearInterval(progress);
    clearTimeout(force);
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
  }
}

/** Causes stand first with npm and last with apt. */
function shorten(output) {
  const lines = output.trim().split("\n");
  return lines.length <= 24 ? lines.join("\n") : [...lines.slice(0, 12), "…", ...lines.slice(-12)].join("\n");
}

const explanations = [
  [/ENOSPC|EDQUOT|No space left on device|Disk quota/i, "The disk is full: free about 1 GB, then start again."],
  [
    /ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EIDLETIMEOUT|npm error network/,
    "The npm registry cannot be reached: check the network, a proxy (`npm config set proxy …`) and `npm config get registry`, then start again.",
  ],
  [/EACCES|EPERM|EROFS/, `The folder ${root} cannot be written: make it this user's, then start again.`],
  [
    /spawn npm ENOENT/,
    "npm is not installed: it comes with Node from https://nodejs.org; Debian has it as package npm.",
  ],
];

/** An error of the above as words for people. */
export function explain(error) {
  const text = String(error?.message ?? error);
  const hint = explanations.find(([sign]) => sign.test(text))?.[1];
  if (hint !== undefined) return `${text}\n\n${hint}`;
  return error instanceof PrepareError ? text : (error.stack ?? text);
}
