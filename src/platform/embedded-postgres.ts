// A real PostgreSQL server of our own, as a child process on a unix socket: no port, no password, nothing to install.
//
// Guarantees: one server per data folder, however many processes start at once; what a killed process left running is
// adopted, not duplicated; a server that dies is started again until `stop`; after `stop` none of its processes is
// left. Does not guarantee that a server shared with another process stays when that one stops: whoever still needs it
// starts it again, and callers see `unavailable` meanwhile.
//
// PostgreSQL itself keeps two servers off one folder (the shared memory key is the folder's inode), so races here can
// cost time, never data. The server runs in its own session: Ctrl-C in the terminal reaches only us, and we end it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, fchownSync, openSync, readFileSync, renameSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { signalUntilGone } from "./child-process.js";
import { backoffMs } from "./clock.js";
import { DatabaseStartError, explainFailure } from "./database-start-error.js";
import type { Log } from "./log.js";
import { asPostgres, type PostgresSite, preparePostgresSite, spawnOptions } from "./postgres-site.js";
import { discardStaleLocks, findServer } from "./postmaster-lock.js";
import { isAlive, listProcesses, type ProcessIdentity, processIdentity } from "./process-identity.js";

/** A server that recovers after a crash may need long. */
const startMsMax = 120_000;
const silentMsMax = 1_000;
const fastStopMsMax = 2_000;
const immediateStopMsMax = 500;
const probeMsMax = 3_000;
const logBytesMax = 8 * 1024 * 1024;

export interface EmbeddedPostgres extends AsyncDisposable {
  /** A connection URL that `pg` and psql understand. */
  readonly url: string;
  /** Of the server that runs now; another one after it had to be started again. */
  readonly pid: number;
  /** An earlier or concurrent process had started it. */
  readonly adopted: boolean;
  /** Ends the server within 3 s; committed data stays, whatever the way it ended. */
  stop(): Promise<void>;
}

/** `dataDir` is the database's alone. @throws DatabaseStartError with a hint for people */
export async function startEmbeddedPostgres({
  dataDir,
  log,
}: {
  dataDir: string;
  log: Log;
}): Promise<EmbeddedPostgres> {
  try {
    const site = await preparePostgresSite(dataDir, log);
    const stopping = new AbortController();
    const first = await launch(site, stopping.signal);
    log.info({ server: first.identity.pid, adopted: first.child === null, dataDir }, "database runs");
    return supervise(site, first, stopping, log);
  } catch (error) {
    throw explainFailure(`The database in ${dataDir} does not start`, error as Error);
  }
}

interface Server {
  readonly identity: ProcessIdentity;
  /** Null when another process started it. */
  readonly child: ChildProcess | null;
}

/** Finds the running server or starts one; ends when it answers a query. */
async function launch(site: PostgresSite, stopping: AbortSignal): Promise<Server> {
  const deadline = performance.now() + startMsMax;
  let silentSince: number | null = null;
  let silence: Error | null = null;
  while (performance.now() < deadline) {
    stopping.throwIfAborted();
    const running = findServer(site.cluster);
    if (running === null) {
      const started = await startServer(site, stopping, deadline);
      if (started !== null) return started;
    } else if (running.ready) {
      silence = await probe(site);
      if (silence === null) return { identity: running.identity, child: null };
      silentSince ??= performance.now();
      // Its socket is gone (a cleaned /tmp, a moved folder): nobody can use it, so nobody misses it.
      const isCutOff = "code" in silence && (silence.code === "ENOENT" || silence.code === "ECONNREFUSED");
      if (isCutOff && performance.now() - silentSince > silentMsMax) await endServer(running.identity);
    }
    await sleep(20);
  }
  const seconds = startMsMax / 1000;
  throw new DatabaseStartError("too-slow", `The database did not answer in ${seconds} s, see ${site.logFile}.`, {
    cause: silence,
  });
}

/** Null when another server was there first, or the memory of the last one is not released yet: look again. */
async function startServer(site: PostgresSite, stopping: AbortSignal, deadline: number): Promise<Server | null> {
  discardStaleLocks(site.cluster, site.socketDir);
  const logStart = rotateLog(site);
  const child = spawnServer(site);
  let failure: Error | null = null;
  child.once("error", (error) => {
    failure = error;
  });
  const running = () => failure === null && child.exitCode === null && child.signalCode === null;
  while (running()) {
    const server = findServer(site.cluster);
    if (server?.ready && server.identity.pid === child.pid && (await probe(site)) === null)
      return { identity: server.identity, child };
    if (stopping.aborted || performance.now() > deadline) {
      const identity = processIdentity(child.pid as number);
      if (identity !== null) await endServer(identity);
      return null;
    }
    await sleep(10);
  }
  if (failure !== null) throw explainFailure("Cannot run PostgreSQL", failure);
  const said = readFileSync(site.logFile).subarray(logStart).toString("utf8");
  if (/lock file .* already exists|pre-existing shared memory block|Is another postmaster already running/.test(said))
    return null;
  throw explainFailure("PostgreSQL does not start", said);
}

function spawnServer(site: PostgresSite): ChildProcess {
  const settings = {
    listen_addresses: "",
    unix_socket_directories: `"${site.socketDir.replaceAll('"', '""')}"`,
    unix_socket_permissions: "0700",
    log_checkpoints: "off",
    // Three worker processes less; the working set is far smaller than memory.
    io_method: "sync",
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const [program = "", ...args] = asPostgres(site, site.programs.postgres, "-D", site.cluster, "-p", "5432", ...flags);
  const output = openSync(site.logFile, "a", 0o600);
  try {
    if (site.rights.uid !== undefined && site.rights.gid !== undefined)
      fchownSync(output, site.rights.uid, site.rights.gid);
    const stdio = ["ignore", output, output] as const;
    const child = spawn(program, args, { ...spawnOptions(site), stdio: [...stdio], detached: true });
    child.unref();
    return child;
  } finally {
    closeSync(output);
  }
}

/** The size at which what this start says begins. */
function rotateLog({ logFile }: PostgresSite): number {
  const size = existsSync(logFile) ? statSync(logFile).size : 0;
  if (size <= logBytesMax) return size;
  renameSync(logFile, `${logFile}.1`);
  return 0;
}

const urlOf = ({ socketDir }: PostgresSite) =>
  `postgresql://postgres@localhost/postgres?host=${encodeURIComponent(socketDir)}`;

/** Null when the server answers a query, else why it does not. */
async function probe(site: PostgresSite): Promise<Error | null> {
  const limits = { connectionTimeoutMillis: probeMsMax, query_timeout: probeMsMax };
  const client = new pg.Client({ connectionString: urlOf(site), ...limits });
  client.on("error", () => {}); // the call in flight fails with it, too
  try {
    await client.connect();
    await client.query("select 1");
    return null;
  } catch (error) {
    return error as Error;
  } finally {
    await client.end();
  }
}

/** Fast shutdown, then immediate (the next start recovers), then by force, the server's processes included. */
async function endServer(identity: ProcessIdentity): Promise<void> {
  const workers = listProcesses().filter((row) => row.parent === identity.pid);
  await signalUntilGone(identity, [
    { signal: "SIGINT", waitMs: fastStopMsMax },
    { signal: "SIGQUIT", waitMs: immediateStopMsMax },
  ]);
  await Promise.all(workers.map((worker) => signalUntilGone(worker, [])));
}

function supervise(site: PostgresSite, first: Server, stopping: AbortController, log: Log): EmbeddedPostgres {
  let server = first;
  const keepRunning = async () => {
    for (let failures = 0; !stopping.signal.aborted; ) {
      try {
        await ended(server, stopping.signal);
        if (failures === 0) log.error({ server: server.identity.pid }, "the database ended: starting it again");
        server = await launch(site, stopping.signal);
        failures = 0;
        log.info({ server: server.identity.pid }, "the database runs again");
      } catch (error) {
        if (stopping.signal.aborted) return;
        failures++;
        log.error({ err: error, failures }, "the database does not start");
        const waitMs = 1_000 + backoffMs(failures, Math.random());
        await sleep(waitMs, undefined, { signal: stopping.signal }).catch(() => {}); // stopping: the loop ends
      }
    }
  };
  const supervision = keepRunning();
  let stopped: Promise<void> | null = null;
  const stop = async () => {
    stopping.abort();
    await supervision;
    await endServer(server.identity);
    log.info({ server: server.identity.pid }, "database stopped");
  };
  const stopOnce = () => (stopped ??= stop());
  return {
    url: urlOf(site),
    get pid() {
      return server.identity.pid;
    },
    adopted: first.child === null,
    stop: stopOnce,
    [Symbol.asyncDispose]: stopOnce,
  };
}

/** Our own child tells by itself; of an adopted one only looking tells. @throws AbortError */
async function ended({ child, identity }: Server, signal: AbortSignal): Promise<void> {
  while (isAlive(identity)) {
    if (child === null) await sleep(500, undefined, { ref: false, signal });
    else await once(child, "exit", { signal });
  }
}
