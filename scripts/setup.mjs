// What the tests need beyond npm's packages. Installs it where it may (Debian and its kin, as root or by sudo without
// a password), else says what to install; never skips: a test that cannot run is not a test that passed.
import { spawnSync } from "node:child_process";
import { accessSync, constants, existsSync, mkdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ensureDependencies, explain, PrepareError, step } from "./prepare.mjs";

/** Packages are unpacked here whose installation would start a server on this machine. */
const unpackedDir = fileURLToPath(new URL("../.tools", import.meta.url));

/**
 * One entry a tool: its Debian package, where its program is, which variable names another place (if any may), what needs
 * it.
 */
const tools = [
  { package: "chromium", program: "/usr/bin/chromium", variable: "CHROMIUM_PATH", use: "browser tests and benches" },
  { package: "nats-server", program: "/usr/sbin/nats-server", variable: "NATS_SERVER_PATH", use: "tests of events" },
  {
    package: "prometheus",
    program: `${unpackedDir}/usr/bin/prometheus`,
    variable: "PROMETHEUS_PATH",
    use: "tests of metrics and alerts; promtool is beside it",
    unpacked: true,
  },
  { package: "coturn", program: "/usr/bin/turnserver", variable: "TURNSERVER_PATH", use: "tests of TURN" },
  { package: "iproute2", program: "/sbin/ip", variable: "IP_PATH", use: "tests of TURN" },
  ...["Xvfb:xvfb", "pulseaudio", "parec:pulseaudio-utils", "bwrap:bubblewrap"].map((tool) => {
    const [program, name = program] = tool.split(":");
    return { package: name, program: `/usr/bin/${program}`, use: "real games" };
  }),
  ...["chromium-bsu", "neverball"].map((game) => ({
    package: game,
    program: `/usr/games/${game}`,
    use: "tests of real games",
  })),
];
/** Its package cannot be unpacked only, for what it needs, and starts a server open to everybody. */
const unwantedService = "coturn";

const attemptsMax = 3;
const retryMs = 5_000;

async function install(missing) {
  const packagesOf = (some) => some.map((tool) => tool.package);
  const installed = packagesOf(missing.filter((tool) => !tool.unpacked));
  const unpacked = packagesOf(missing.filter((tool) => tool.unpacked));
  const apt = ["apt-get", "-o", "Acquire::Retries=3", "-o", "DPkg::Lock::Timeout=120"];
  const get = ["install", "--yes", "--no-install-recommends", ...installed];
  const byHand = [
    ...missing.map((tool) => `${tool.package} is missing: ${placeOf(tool)} (for ${tool.use}).`),
    `Install it: sudo apt-get update && sudo apt-get install ${packagesOf(missing).join(" ")}`,
    ...missing
      .filter((tool) => tool.variable !== undefined)
      .map((tool) => `Or have it elsewhere and set ${tool.variable} to the program's path.`),
  ].join("\n");
  const becomeRoot = rootPrefix();
  if (!isDebian() || becomeRoot === null) throw new PrepareError(byHand);
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
  for (let attempt = 1; ; attempt++) {
    try {
      await step("Updating the list of packages", [...becomeRoot, ...apt, "update"], { env });
      if (installed.length > 0)
        await step(`Installing ${installed.join(", ")}`, [...becomeRoot, ...apt, ...get], { env });
      for (const name of unpacked) await step(`Unpacking ${name}`, unpack(name), { env });
      break;
    } catch (error) {
      if (attempt === attemptsMax) throw new PrepareError(`${error.message}\n\n${byHand}`);
      console.log(`  ${error.message.split("\n").at(-1)}\n  trying again (${attempt + 1} of ${attemptsMax})`);
      await sleep(retryMs);
    }
  }
  if (installed.includes(unwantedService))
    await step(`Stopping the service ${unwantedService}`, [...becomeRoot, ...stopService]);
  const still = missing.filter((tool) => !isThere(tool));
  if (still.length > 0) throw new PrepareError(`The packages were installed, and yet:\n${byHand}`);
}

/** Needs no root, and leaves nothing outside this folder. */
function unpack(name) {
  mkdirSync(unpackedDir, { recursive: true });
  const commands = `cd "$1" && rm -f "$2"_*.deb && apt-get download "$2" && dpkg -x "$2"_*.deb . && rm "$2"_*.deb`;
  return ["sh", "-c", commands, "sh", unpackedDir, name];
}

const placeOf = (tool) => process.env[tool.variable] ?? tool.program;

function isThere(tool) {
  try {
    accessSync(placeOf(tool), constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

const isDebian = () =>
  existsSync("/etc/os-release") && /^ID(_LIKE)?=.*\b(debian|ubuntu)\b/m.test(readFileSync("/etc/os-release", "utf8"));

const stopService = existsSync("/run/systemd/system")
  ? ["systemctl", "disable", "--now", unwantedService]
  : ["service", unwantedService, "stop"];

/** What to put before a command that needs root; null where we may not become root. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  return spawnSync("sudo", ["-n", "true"]).status === 0 ? ["sudo", "-n"] : null;
}

try {
  await ensureDependencies();
  const missing = tools.filter((tool) => !isThere(tool));
  for (const { variable } of missing)
    if (process.env[variable]) throw new PrepareError(`${variable} is ${process.env[variable]}: no program is there.`);
  if (missing.length > 0) await install(missing);
} catch (error) {
  console.error(explain(error));
  process.exit(1);
}
