// The `hotseat` command. It reads flags and the environment, hands each role its configuration, and turns the errors a
// person can act on into one clear message. Each command loads what it runs and no more: an agent boots in less.
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { runOnce, runUntilSignalled } from "./run.js";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const { env } = process;

const program = new Command("hotseat")
  .description("Self-hosted cloud gaming: GPU VMs, seats, and games streamed to a browser.")
  .version(version)
  .showHelpAfterError("(hotseat --help shows what there is)");

const count = (value: string): number => {
  if (!/^\d{1,4}$/.test(value)) throw new InvalidArgumentError("It is a whole number from 0 to 9999.");
  return Number(value);
};

const listening = (command: Command, port: string) =>
  command
    .option("--host <address>", "address to listen on", env.HOTSEAT_HOST ?? "127.0.0.1")
    .option("--port <number>", "TCP port to listen on (0: any free one)", env.HOTSEAT_PORT ?? port)
    .option("--public-url <url>", "how browsers reach this server, if not by host and port", env.HOTSEAT_PUBLIC_URL)
    .option("--allow-origin <origin...>", "other origins whose pages may open sockets here")
    .addOption(
      new Option("--log-level <level>", "least level logged")
        .choices(["debug", "info", "warn", "error"])
        .default(env.HOTSEAT_LOG_LEVEL ?? "info"),
    )
    .option("--config <file>", "JSON file with further settings of the role (docs/operate.md)");

const secrets = (command: Command) =>
  command.option("--secrets <file>", "the installation's secrets file", env.HOTSEAT_SECRETS ?? ".hotseat/secrets.json");

listening(program.command("up"), "8080")
  .description("run everything on this machine: one port, its own database, games in local processes")
  .option("--data <folder>", "where all state is kept", env.HOTSEAT_DATA ?? ".hotseat")
  .option("--warm <number>", "VMs kept ready, so that Play is instant", count, 1)
  .action((options) =>
    runUntilSignalled(async (signal) => {
      const { up } = await import("./up.js");
      await up({ ...options, data: resolve(options.data), databaseUrl: env.DATABASE_URL, version }, signal);
    }),
  );

const database = (command: Command) =>
  secrets(command).option("--database-url <url>", "PostgreSQL (environment: DATABASE_URL)", env.DATABASE_URL);

/** Several: by commas, or each with its flag. */
const urls = (value: string, before?: readonly string[] | string): readonly string[] => [
  ...(Array.isArray(before) ? before : []),
  ...value.split(",").map((part) => {
    const url = part.trim();
    if (!/^https?:/.test(url) || !URL.canParse(url)) throw new InvalidArgumentError(`"${url}" is no http(s) URL.`);
    return url;
  }),
];

const streamingUrls = (command: Command, text: string) =>
  command.addOption(
    new Option("--streaming-url <urls>", text).env("HOTSEAT_STREAMING_URL").argParser(urls).makeOptionMandatory(),
  );

streamingUrls(
  database(listening(program.command("orchestrator"), "8081")),
  "the streaming role, as agents reach it; several nodes by commas",
)
  .description("run the orchestrator: VMs, seats, placement")
  .option("--data <folder>", "where local VMs keep their files", env.HOTSEAT_DATA ?? ".hotseat")
  .action((options) =>
    runUntilSignalled(async (signal) => {
      const { runOrchestratorRole } = await import("./roles.js");
      await runOrchestratorRole(options, signal);
    }),
  );

streamingUrls(database(listening(program.command("session"), "8082")), "the streaming role; several nodes by commas")
  .description("run the session service and the play page")
  .requiredOption("--orchestrator-url <url>", "the orchestrator", env.HOTSEAT_ORCHESTRATOR_URL)
  .action((options) =>
    runUntilSignalled(async (signal) => {
      const { runSessionRole } = await import("./roles.js");
      await runSessionRole({ ...options, version }, signal);
    }),
  );

secrets(listening(program.command("streaming"), "8083"))
  .description("run streaming-ingest: signalling, control, agent links")
  .requiredOption("--session-url <url>", "the session service", env.HOTSEAT_SESSION_URL)
  .action((options) =>
    runUntilSignalled(async (signal) => {
      const { runStreamingRole } = await import("./roles.js");
      await runStreamingRole(options, signal);
    }),
  );

program
  .command("agent")
  .description("run the host agent of one VM")
  .requiredOption("--config <file>", "the VM's configuration, with its bootstrap token")
  .action((options) =>
    runUntilSignalled(async (signal) => {
      const { runAgentRole } = await import("./agent.js");
      await runAgentRole(options, signal);
    }),
  );

const keys = program.command("keys").description("the installation's API keys");
secrets(keys.command("init"))
  .description("make the secrets file, with one key of each scope")
  .action((options) => runOnce(async () => (await import("./keys.js")).initKeys(options)));
secrets(keys.command("list"))
  .description("show the keys, without their secrets")
  .option("--tenant <tenant>", "this tenant's alone")
  .action((options) => runOnce(async () => (await import("./keys.js")).listKeys(options)));
secrets(keys.command("add <id>"))
  .description("add a key and print it, once")
  .addOption(
    new Option("--scope <scope>", "what it may do")
      .choices(["operate", "session", "read", "service"])
      .makeOptionMandatory(),
  )
  .option(
    "--tenant <tenant>",
    "whose sessions it sees (scope session), and whose quotas count (session, operate)",
    "default",
  )
  .action((id, options) => runOnce(async () => (await import("./keys.js")).addKeyCommand(id, options)));
secrets(keys.command("revoke <id>"))
  .description("take a key away")
  .action((id, options) => runOnce(async () => (await import("./keys.js")).revokeKeyCommand(id, options)));

program
  .command("openapi")
  .description("print the OpenAPI document")
  .action(async () => {
    const [{ openApiDocument }, { allRoutes }] = await Promise.all([
      import("../contracts/openapi.js"),
      import("../contracts/routes.js"),
    ]);
    console.log(JSON.stringify(openApiDocument(allRoutes, version), null, 2));
  });

await program.parseAsync();
