// Builds dist/ from src/: the server's files one by one (dist mirrors src), the browser's as bundles.
// Every input of a server file that is not TypeScript (SQL, HTML, CSS, images) is copied beside it.
import { cpSync, readdirSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = fileURLToPath(new URL("..", import.meta.url));
const src = join(root, "src");
const dist = join(root, "dist");

const files = readdirSync(src, { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name));
const server = files.filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"));

rmSync(dist, { recursive: true, force: true });
const common = { logLevel: "warning", sourcemap: true, target: "es2022", format: "esm" };
await Promise.all([
  build({ ...common, entryPoints: server, outdir: dist, outbase: src, platform: "node", target: "node20" }),
  build({
    ...common,
    entryPoints: { play: join(src, "web/play/main.ts"), player: join(src, "player/player.ts") },
    outdir: join(dist, "public"),
    bundle: true,
    minify: true,
    platform: "browser",
  }),
]);
for (const file of files.filter((file) => !file.endsWith(".ts"))) cpSync(file, join(dist, relative(src, file)));
