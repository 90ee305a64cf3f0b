// `npm run bench -- NAME [--smoke]`: builds, then runs bench/NAME.ts; the last line printed is its result as JSON.
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const names = readdirSync(`${root}/bench`)
  .filter((file) => file.endsWith(".ts"))
  .map((file) => file.slice(0, -3));
const [name, ...rest] = process.argv.slice(2);
if (name === undefined || !existsSync(`${root}/bench/${name}.ts`)) {
  console.error(`Usage: npm run bench -- NAME [--smoke]\nNAME is one of: ${names.join(", ")}`);
  process.exit(2);
}
for (const args of [["scripts/setup.mjs"], ["scripts/build.mjs"], [`dist/bench/${name}.js`, ...rest]]) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
