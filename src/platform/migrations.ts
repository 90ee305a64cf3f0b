// Brings a role's schema up to the code: numbered SQL files, each applied once, in order, in its own transaction.
//
// Any number of replicas may start at once: each step takes an advisory lock, looks again and applies the next file.
// History is not rewritten: an applied file that was changed or removed is refused, and so is a database that is ahead
// of the code, since older code would not know what it must keep.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import pg from "pg";
import type { Database, Queryable } from "./database.js";
import type { Log } from "./log.js";

const migrationMsMax = 600_000;

/** The database and the migration files do not fit; the message says what to do. */
export class MigrationError extends Error {
  override name = "MigrationError";
}

export interface MigrationFile {
  readonly number: number;
  readonly name: string;
  readonly checksum: string;
  readonly sql: string;
}

type Applied = Pick<MigrationFile, "number" | "name" | "checksum">;

/** `directory` holds `001-what.sql`, …; unqualified names in them are `schema`'s. @throws MigrationError, Problem */
export async function migrate(
  db: Database,
  { schema, directory, log }: { schema: string; directory: string; log: Log },
): Promise<void> {
  const files = readMigrations(directory);
  for (;;) {
    const applied = await db.transaction((tx) => applyNext(tx, schema, files), { statementMsMax: migrationMsMax });
    if (applied === null) return;
    log.info({ schema, migration: applied.name }, "migrated");
  }
}

async function applyNext(
  tx: Queryable,
  schema: string,
  files: readonly MigrationFile[],
): Promise<MigrationFile | null> {
  const quoted = pg.escapeIdentifier(schema);
  await tx.query("select pg_advisory_xact_lock(hashtextextended($1, 0))", [`hotseat migrations of ${schema}`]);
  // Looked up first: `if not exists` needs the right to create, also where nothing is left to be created.
  const { ready } = await tx.one<{ ready: boolean }>("select to_regclass($1) is not null as ready", [
    `${quoted}.migrations`,
  ]);
  if (!ready)
    await tx.query(`
      create schema if not exists ${quoted};
      create table ${quoted}.migrations (
        number     integer primary key,
        name       text not null,
        checksum   text not null,
        applied_at timestamptz not null default now()
      )`);
  const applied = await tx.query<Applied>(`select number, name, checksum from ${quoted}.migrations order by number`);
  const next = nextMigration(files, applied);
  if (next === null) return null;
  await tx.query(`set local search_path = ${quoted}, public`);
  try {
    await tx.query(next.sql);
  } catch (error) {
    if (!(error instanceof pg.DatabaseError)) throw error;
    throw new MigrationError(`Migration ${schema}/${next.name}${lineOf(next.sql, error)}: ${error.message}`, {
      cause: error,
    });
  }
  await tx.query(`insert into ${quoted}.migrations (number, name, checksum) values ($1, $2, $3)`, [
    next.number,
    next.name,
    next.checksum,
  ]);
  return next;
}

/** The first file not applied yet; null when there is none. @throws MigrationError when history differs */
export function nextMigration(files: readonly MigrationFile[], applied: readonly Applied[]): MigrationFile | null {
  for (const [index, done] of applied.entries()) {
    const file = files[index];
    if (file === undefined)
      throw new MigrationError(
        `The database has migration ${done.name}, which this version of Hotseat does not know: start the newer version.`,
      );
    if (file.name !== done.name || file.checksum !== done.checksum)
      throw new MigrationError(
        `Migration ${done.name} was applied in another form than ${file.name} has now: restore the file, and put changes into a new one.`,
      );
  }
  return files[applied.length] ?? null;
}

/** In order. @throws MigrationError when the numbers are not 001, 002, … without gap */
export function readMigrations(directory: string): MigrationFile[] {
  const names = readdirSync(directory)
    .filter((name) => name.endsWith(".sql"))
    .sort();
  return names.map((name, index) => {
    const number = Number(/^(\d{3})-[a-z0-9-]+\.sql$/.exec(name)?.[1]);
    if (number !== index + 1)
      throw new MigrationError(
        `${join(directory, name)} must be named ${String(index + 1).padStart(3, "0")}-<what-it-does>.sql: numbers have no gaps.`,
      );
    const sql = readFileSync(join(directory, name), "utf8").replaceAll("\r\n", "\n");
    return { number, name, sql, checksum: createHash("sha256").update(sql).digest("hex") };
  });
}

function lineOf(sql: string, { position }: pg.DatabaseError): string {
  return position === undefined ? "" : `, line ${sql.slice(0, Number(position)).split("\n").length}`;
}
