import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import pg from "pg";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { DatabaseStartError, explainFailure } from "./database-start-error.js";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded-postgres.js";
import { linkLibraries } from "./postgres-binaries.js";
import { commandLine, isAlive, listProcesses, processIdentity } from "./process-identity.js";
import { silentLog as log } from "./test-postgres.js";

const folders: string[] = [];
const servers: EmbeddedPostgres[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.stop();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true });
});

function newFolder(parent = tmpdir()): string {
  const folder = mkdtempSync(join(parent, "hotseat-pg-"));
  folders.push(folder);
  return join(folder, "postgres");
}

async function start(dataDir: string): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({ dataDir, log });
  servers.push(server);
  return server;
}

async function query(server: EmbeddedPostgres, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: server.url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

const processesOf = (dataDir: string) => listProcesses().filter(({ pid }) => commandLine(pid)?.includes(dataDir));
const childrenOf = (parent: number) => listProcesses().filter((row) => row.parent === parent);

describe("a first start", () => {
  // As root, /tmp is run as another user and /root (mode 0700) in a user namespace.
  test.each([tmpdir(), homedir()])("in %s makes a private database, and stop leaves no process", async (parent) => {
    const dataDir = newFolder(parent);
    const server = await start(dataDir);
    expect(server.adopted).toBe(false);
    expect(
      await query(server, "select current_setting('server_encoding') as e, current_setting('lc_messages') as l"),
    ).toEqual([{ e: "UTF8", l: "C" }]);
    expect(await query(server, "select current_setting('listen_addresses') as a")).toEqual([{ a: "" }]);
    expect(statSync(dataDir).mode & 0o777).toBe(0o700);

    const all = [processIdentity(server.pid)!, ...childrenOf(server.pid)];
    expect(all.length).toBeGreaterThan(3);
    const began = performance.now();
    await server.stop();
    expect(performance.now() - began).toBeLessThan(3_000);
    expect(all.filter(isAlive)).toEqual([]);
    expect(processesOf(dataDir)).toEqual([]);
  });

  test("twice at once makes one server, and both may use it", async () => {
    const dataDir = newFolder();
    const [one, two] = await Promise.all([start(dataDir), start(dataDir)]);
    expect(one.pid).toBe(two.pid);
    expect([one.adopted, two.adopted].sort()).toEqual([false, true]);
    await query(one, "create table seen (x int); insert into seen values (1)");
    expect(await query(two, "select x from seen")).toEqual([{ x: 1 }]);
  });

  test("in a folder whose name is too long for a socket uses a short private one", async () => {
    const dataDir = join(newFolder(), "long ".repeat(20).trim(), "with, comma");
    const server = await start(dataDir);
    expect(await query(server, "select 1 as one")).toEqual([{ one: 1 }]);
    const socketDir = new URL(server.url).searchParams.get("host")!;
    expect(statSync(socketDir).mode & 0o777).toBe(0o700);
    folders.push(socketDir);
  });

  test("in a folder that holds something else is refused and changes nothing", async () => {
    const dataDir = newFolder();
    mkdirSync(join(dataDir, "pgdata"), { recursive: true });
    writeFileSync(join(dataDir, "pgdata", "diary.txt"), "mine");
    await expect(start(dataDir)).rejects.toMatchObject({ name: "DatabaseStartError", reason: "not-a-database" });
    expect(readFileSync(join(dataDir, "pgdata", "diary.txt"), "utf8")).toBe("mine");
  });
});

describe("a later start", () => {
  test("finds what was committed, and refuses another major version's data", async () => {
    const dataDir = newFolder();
    const first = await start(dataDir);
    await query(first, "create table kept (x int); insert into kept values (7)");
    await first.stop();
    const second = await start(dataDir);
    expect(second.adopted).toBe(false);
    expect(await query(second, "select x from kept")).toEqual([{ x: 7 }]);
    await second.stop();
    writeFileSync(join(dataDir, "pgdata", "PG_VERSION"), "15\n");
    const refused = await start(dataDir).catch((error) => error);
    expect(refused).toMatchObject({ reason: "wrong-version", hint: expect.stringContaining("DATABASE_URL") });
    expect(refused.message).toContain("PostgreSQL 15");
  });

  test("is not fooled by lock files that name an unrelated live process", async () => {
    const dataDir = newFolder();
    const first = await start(dataDir);
    const lockFile = join(dataDir, "pgdata", "postmaster.pid");
    const socketLock = join(dataDir, ".s.PGSQL.5432.lock");
    const locks = [lockFile, socketLock].map((path) => ({ path, text: readFileSync(path, "utf8") }));
    await first.stop();
    // As the same user as PostgreSQL, which it may signal: PostgreSQL alone would refuse to start.
    const { uid, gid } = statSync(join(dataDir, "pgdata"));
    const stranger = spawn("/bin/sleep", ["60"], { uid, gid, stdio: "ignore" });
    try {
      for (const { path, text } of locks) writeFileSync(path, text.replace(/^\d+/, String(stranger.pid)));
      const second = await start(dataDir);
      expect(second.adopted).toBe(false);
      expect(second.pid).not.toBe(stranger.pid);
      expect(await query(second, "select 1 as one")).toEqual([{ one: 1 }]);
      expect(stranger.exitCode ?? stranger.signalCode).toBeNull();
    } finally {
      stranger.kill("SIGKILL");
    }
  });
});

describe("after kill -9", () => {
  const root = fileURLToPath(new URL("../..", import.meta.url));
  const program = join(root, "test-output", `postgres-starter-${process.pid}.mjs`);
  let starter: ChildProcess | null = null;

  beforeAll(async () => {
    await build({
      stdin: {
        contents: `
          import { startEmbeddedPostgres } from "./embedded-postgres.js";
          import { silentLog as log } from "./test-postgres.js";
          const { pid } = await startEmbeddedPostgres({ dataDir: process.argv[2]!, log });
          process.stdout.write(String(pid));
          setInterval(() => {}, 1e6);`,
        resolveDir: dirname(fileURLToPath(import.meta.url)),
        loader: "ts",
      },
      bundle: true,
      packages: "external",
      platform: "node",
      format: "esm",
      outfile: program,
    });
  });
  afterEach(() => starter?.kill("SIGKILL"));
  afterAll(() => rmSync(program, { force: true }));

  test.each([tmpdir(), homedir()])("of Node, the next start in %s adopts the server", async (parent) => {
    const dataDir = newFolder(parent);
    starter = spawn(process.execPath, [program, dataDir], { stdio: ["ignore", "pipe", "inherit"] });
    const pid = Number(String((await once(starter.stdout!, "data"))[0]));
    starter.kill("SIGKILL");
    await once(starter, "exit");

    const server = await start(dataDir);
    expect(server).toMatchObject({ adopted: true, pid });
    await server.stop();
    expect(processesOf(dataDir)).toEqual([]);
  });

  test("of an adopted server, it is started again, too", async () => {
    const dataDir = newFolder();
    await start(dataDir);
    const adopted = await start(dataDir);
    const pid = adopted.pid;
    process.kill(pid, "SIGKILL");
    await expect.poll(() => adopted.pid, { timeout: 10_000 }).not.toBe(pid);
    expect(await query(adopted, "select 1 as one")).toEqual([{ one: 1 }]);
  });

  test("of the server, it runs again by itself with every committed row", async () => {
    const dataDir = newFolder();
    const server = await start(dataDir);
    await query(server, "create table kept as select generate_series(1, 1000) as x");
    const pid = server.pid;
    process.kill(pid, "SIGKILL");
    await expect.poll(() => server.pid, { timeout: 10_000 }).not.toBe(pid);
    expect(await query(server, "select count(*)::int as n from kept")).toEqual([{ n: 1000 }]);
    await server.stop();
    expect(processesOf(dataDir)).toEqual([]);
  });
});

test("a server that hangs is ended by force within 3 s, its workers too", async () => {
  const server = await start(newFolder());
  const all = [processIdentity(server.pid)!, ...childrenOf(server.pid)];
  process.kill(server.pid, "SIGSTOP");
  const began = performance.now();
  await server.stop();
  expect(performance.now() - began).toBeLessThan(3_000);
  expect(all.filter(isAlive)).toEqual([]);
});

test("a server whose socket was deleted is not adopted but replaced", async () => {
  const dataDir = newFolder();
  const lost = await start(dataDir);
  const pid = lost.pid;
  rmSync(join(dataDir, ".s.PGSQL.5432"));
  const server = await start(dataDir);
  expect(server.pid).not.toBe(pid);
  expect(await query(server, "select 1 as one")).toEqual([{ one: 1 }]);
});

test("an open transaction does not hold up stop", async () => {
  const server = await start(newFolder());
  const client = new pg.Client({ connectionString: server.url });
  client.on("error", () => {});
  await client.connect();
  await client.query("begin; create table never (x int)");
  const began = performance.now();
  await server.stop();
  expect(performance.now() - began).toBeLessThan(1_500);
  await client.end();
});

test("libraries' symlinks are made where the package's script did not run, also by two at once", () => {
  const root = newFolder();
  mkdirSync(join(root, "native/lib"), { recursive: true });
  writeFileSync(join(root, "native/lib/liba.so.1.2"), "");
  const list = join(root, "native/pg-symlinks.json");
  writeFileSync(list, JSON.stringify([{ source: "native/lib/liba.so.1.2", target: "native/lib/liba.so.1" }]));
  linkLibraries(root, list);
  linkLibraries(root, list);
  expect(readlinkSync(join(root, "native/lib/liba.so.1"))).toBe("liba.so.1.2");
  expect(existsSync(join(root, "native/lib/liba.so.1"))).toBe(true);
});

test.each([
  ["FATAL:  could not write lock file: No space left on device", "disk-full"],
  [
    "postgres: error while loading shared libraries: libicui18n.so.60: cannot open shared object file",
    "missing-library",
  ],
  ["FATAL:  could not access directory: Permission denied", "permission"],
  [Object.assign(new Error("spawn /x/postgres ENOENT"), { syscall: "spawn /x/postgres" }), "missing-library"],
  [Object.assign(new Error("ENOENT: no such file or directory, mkdir '/x'"), { syscall: "mkdir" }), "permission"],
  [Object.assign(new Error("ENOSPC: no space left on device, mkdir"), { code: "ENOSPC" }), "disk-full"],
  [new Error("something else"), "failed"],
])("%s is explained with a hint", (evidence, reason) => {
  const error = explainFailure("PostgreSQL does not start", evidence);
  expect(error).toBeInstanceOf(DatabaseStartError);
  expect(error.reason).toBe(reason);
  expect(error.message).toContain(typeof evidence === "string" ? evidence : evidence.message);
  expect(error.hint.length).toBeGreaterThan(40);
});
