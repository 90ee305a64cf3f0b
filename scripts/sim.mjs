// `npm run sim -- --seed N --days D [--seeds K]`: builds, then runs the simulation (sim/).
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
for (const args of [["scripts/build.mjs"], ["dist/sim/main.js", ...process.argv.slice(2)]]) {
  const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}
