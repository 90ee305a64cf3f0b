// Builds dist/ from src/: the server's files one by one (dist mirrors src), the browser's as bundles. What a server
// file reads beside itself (SQL, HTML, CSS) is copied. Benches and the
// simulation become dist/bench/*.js and dist/sim/*.js, against the same dist.
import { cpSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { playerTypes } from "./player-types.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const src = join(root, "src");
const dist = join(root, "dist");
const fresh = join(root, `dist.${process.pid}`);

const filesIn = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
const files = filesIn(src);
const server = files.filter((file) => file.endsWith(".ts") && !/\.(test|fixture)\.ts$/.test(file));
const benches = readdirSync(join(root, "bench"))
  .filter((name) => name.endsWith(".ts"))
  .map((name) => join(root, "bench", name));

const common = { logLevel: "warning", sourcemap: true, target: "es2022", format: "esm" };
/** What stands beside src/ names sources as `../src/…`; it runs against the built ones. */
const builtSources = {
  name: "built-sources",
  setup(build) {
    build.onResolve({ filter: /^(\.\.\/)+src\// }, ({ path }) => ({
      path: path.replace(/^(\.\.\/)+src\//, "../"),
      external: true,
    }));
  },
};
const outside = {
  ...common,
  bundle: true,
  packages: "external",
  plugins: [builtSources],
  platform: "node",
  target: "node20",
};

await Promise.all([
  build({ ...common, entryPoints: server, outdir: fresh, outbase: src, platform: "node", target: "node20" }),
  build({
    ...common,
    entryPoints: { play: join(src, "web/play/main.ts"), player: join(src, "player/player.ts") },
    outdir: join(fresh, "public"),
    bundle: true,
    minify: true,
    platform: "browser",
  }),
  build({ ...outside, entryPoints: benches, outdir: join(fresh, "bench"), external: ["/assets/*"] }),
  build({
    ...outside,
    entryPoints: [join(root, "sim/main.ts"), join(root, "sim/worker.ts")],
    outdir: join(fresh, "sim"),
  }),
]);
for (const file of files.filter((file) => !file.endsWith(".ts"))) cpSync(file, join(fresh, relative(src, file)));
writeFileSync(join(fresh, "public/player.d.ts"), await playerTypes(root, fresh));
rmSync(dist, { recursive: true, force: true });
renameSync(fresh, dist);
