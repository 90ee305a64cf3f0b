// Where our PostgreSQL lives: a private folder with its data, its log and its socket, made at the first start.
//
// Made beside its place and then renamed, so that a crash half-way or a race leaves nothing half-made; what is there
// already is never changed, and refused when it is not ours to open.
import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { run } from "./child-process.js";
import { DatabaseStartError, explainFailure } from "./database-start-error.js";
import type { Log } from "./log.js";
import {
  chooseRights,
  locatePrograms,
  type PostgresPrograms,
  type PostgresRights,
  postgresEnvironment,
  postgresMajor,
} from "./postgres-binaries.js";
import { processIdentity } from "./process-identity.js";

/** What sockaddr_un holds, without its terminating zero. */
const socketPathBytesMax = process.platform === "linux" ? 107 : 103;

export interface PostgresSite {
  readonly dataDir: string;
  readonly cluster: string;
  readonly logFile: string;
  readonly socketDir: string;
  readonly programs: PostgresPrograms;
  readonly rights: PostgresRights;
}

/** Ready to start a server in. @throws DatabaseStartError, or the file system's error */
export async function preparePostgresSite(folder: string, log: Log): Promise<PostgresSite> {
  const site = await makeFolders(folder);
  if (!existsSync(join(site.cluster, "PG_VERSION"))) await initialise(site, log);
  checkVersion(site);
  return site;
}

/** A command line with the rights PostgreSQL runs with. */
export const asPostgres = ({ rights }: PostgresSite, program: string, ...args: string[]) => [
  ...rights.prefix,
  program,
  ...args,
];

export const spawnOptions = ({ dataDir, rights: { uid, gid } }: PostgresSite) => ({
  cwd: dataDir,
  env: postgresEnvironment,
  uid,
  gid,
});

async function makeFolders(folder: string): Promise<PostgresSite> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const dataDir = realpathSync(folder);
  const cluster = join(dataDir, "pgdata");
  const programs = locatePrograms();
  const rights = await chooseRights(programs, dataDir, cluster);
  makePrivate(dataDir, rights);
  const socketDir = fitsSocket(dataDir) ? dataDir : shortSocketDir(dataDir, rights);
  return { dataDir, cluster, logFile: join(dataDir, "postgres.log"), socketDir, programs, rights };
}

const fitsSocket = (dir: string) => Buffer.byteLength(join(dir, ".s.PGSQL.5432")) <= socketPathBytesMax;

function makePrivate(dir: string, { uid, gid }: PostgresRights): void {
  chmodSync(dir, 0o700);
  if (uid !== undefined && gid !== undefined) chownSync(dir, uid, gid);
}

/** A folder anyone could have made before us in /tmp is used only if it is a real folder of ours. */
function shortSocketDir(dataDir: string, rights: PostgresRights): string {
  const dir = `/tmp/hotseat-${createHash("sha256").update(dataDir).digest("hex").slice(0, 16)}`;
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const found = lstatSync(dir);
  const self = process.getuid?.();
  if (!found.isDirectory() || (found.uid !== self && (self !== 0 || found.uid !== rights.uid)))
    throw new DatabaseStartError("permission", `${dir}, where the database's socket must be, is another user's.`);
  makePrivate(dir, rights);
  return dir;
}

/** Beside its place, then renamed: a crash half-way or a race leaves nothing half-made. */
async function initialise(site: PostgresSite, log: Log): Promise<void> {
  sweepAbandoned(site);
  log.info({ dataDir: site.dataDir }, "making the database");
  const temporary = `${site.cluster}.init-${process.pid}-${randomBytes(4).toString("hex")}`;
  const options = ["-U", "postgres", "--auth=trust", "-E", "UTF8", "--locale=C", "--no-instructions"];
  try {
    const made = await run(asPostgres(site, site.programs.initdb, "-D", temporary, ...options), spawnOptions(site));
    if (made.code !== 0) throw explainFailure("Cannot make the database", made.output);
    renameSync(temporary, site.cluster);
  } catch (error) {
    const lost = error instanceof Error && "code" in error && (error.code === "ENOTEMPTY" || error.code === "EEXIST");
    if (!lost) throw error;
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

function sweepAbandoned({ dataDir }: PostgresSite): void {
  for (const name of readdirSync(dataDir)) {
    const maker = /^pgdata\.init-(\d+)-/.exec(name)?.[1];
    if (maker !== undefined && processIdentity(Number(maker)) === null)
      rmSync(join(dataDir, name), { recursive: true, force: true });
  }
}

function checkVersion({ cluster }: PostgresSite): void {
  const file = join(cluster, "PG_VERSION");
  if (!existsSync(file)) throw new DatabaseStartError("not-a-database", `${cluster} is not a database's folder.`);
  const version = readFileSync(file, "utf8").trim();
  if (version === postgresMajor) return;
  throw new DatabaseStartError(
    "wrong-version",
    `The database in ${cluster} is of PostgreSQL ${version}; this Hotseat brings ${postgresMajor}.`,
  );
}
