// `npm start`: from a fresh clone to a running Hotseat. Installs and builds what is missing or older than its source,
// then becomes `hotseat up` with all further arguments (`npm start -- --port 9000`).
//
// The command runs in this very process, not in a child: there is no wrapper to forward signals or exit codes, and
// Ctrl-C, SIGTERM and a terminal that closes reach it first hand. Only the version check comes before the imports, so
// that an old Node gets a sentence and not a stack.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Hotseat needs Node 20.19 or later; this is ${process.version}. Get one from https://nodejs.org.`);
  process.exit(1);
}

const { ensureBuild, ensureDependencies, explain } = await import("./prepare.mjs");
const { fileURLToPath } = await import("node:url");

try {
  await ensureDependencies();
  await ensureBuild();
} catch (error) {
  console.error(explain(error));
  process.exit(1);
}
const command = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
process.argv = [process.argv[0], command, "up", ...process.argv.slice(2)];
await import("../dist/cli/main.js");
