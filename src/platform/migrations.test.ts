import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { type Database, openDatabase } from "./database.js";
import type { EmbeddedPostgres } from "./embedded-postgres.js";
import { MigrationError, type MigrationFile, migrate, nextMigration } from "./migrations.js";
import { silentLog as log, startTestPostgres } from "./test-postgres.js";

let server: EmbeddedPostgres;
let db: Database;
let directory: string;

beforeAll(async () => {
  server = await startTestPostgres();
  db = openDatabase({ url: server.url, applicationName: "migrations-test", log });
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
  await server.stop();
});
beforeEach(async () => {
  await db.query("drop schema if exists fleet cascade");
  directory = mkdtempSync(join(tmpdir(), "migrations-"));
  write("001-machines.sql", "create table fleet.machines (id text primary key);\ninsert into machines values ('one');");
  write("002-more.sql", "insert into fleet.machines values ('two');");
});
afterEach(() => rmSync(directory, { recursive: true }));

const write = (name: string, sql: string) => writeFileSync(join(directory, name), sql);
const up = (database = db) => migrate(database, { schema: "fleet", directory, log });
const machines = () => db.query("select id from fleet.machines order by id");

test("files are applied in order, and a second time nothing happens", async () => {
  await up();
  await up();
  expect(await machines()).toEqual([{ id: "one" }, { id: "two" }]);
  write("003-third.sql", "insert into machines values ('x three')");
  await up();
  expect(await machines()).toHaveLength(3);
  expect(await db.query("select number, name from fleet.migrations order by number")).toEqual([
    { number: 1, name: "001-machines.sql" },
    { number: 2, name: "002-more.sql" },
    { number: 3, name: "003-third.sql" },
  ]);
});

test("replicas that start at once apply each file once", async () => {
  const replicas = [1, 2, 3].map((n) => openDatabase({ url: server.url, applicationName: `replica-${n}`, log }));
  await Promise.all(replicas.map(up));
  expect(await machines()).toHaveLength(2);
  for (const replica of replicas) await replica[Symbol.asyncDispose]();
});

test("a file that was changed after it was applied is refused; other line ends are no change", async () => {
  await up();
  write(
    "001-machines.sql",
    "create table fleet.machines (id text primary key);\r\ninsert into machines values ('one');",
  );
  await up();
  write("001-machines.sql", "create table fleet.machines (id int);");
  await expect(up()).rejects.toThrow(/001-machines.sql was applied in another form/);
});

test("a database that is ahead of the code is refused", async () => {
  await up();
  rmSync(join(directory, "002-more.sql"));
  await expect(up()).rejects.toThrow(/002-more.sql, which this version of Hotseat does not know/);
});

test("a gap in the numbers is refused before anything is applied", async () => {
  write("004-later.sql", "select 1");
  await expect(up()).rejects.toThrow(/must be named 003-/);
  expect(await db.one("select to_regnamespace('fleet') as schema")).toEqual({ schema: null });
});

test("a file that fails leaves no trace, names its line, and is tried again once mended", async () => {
  write("003-broken.sql", "insert into machines values ('three');\ninsert into nowhere values (1);");
  const failure = await up().catch((error) => error);
  expect(failure).toBeInstanceOf(MigrationError);
  expect(failure.message).toMatch(/fleet\/003-broken.sql, line 2: relation "nowhere" does not exist/);
  expect(await machines()).toHaveLength(2);
  write("003-broken.sql", "insert into machines values ('three');");
  await up();
  expect(await machines()).toHaveLength(3);
});

test("a role without the right to create works where nothing is left to do", async () => {
  await up();
  await db.query("drop role if exists guest");
  await db.query(
    "create role guest login; grant usage on schema fleet to guest; grant select on fleet.migrations to guest",
  );
  const guest = openDatabase({ url: server.url.replace("postgres@", "guest@"), applicationName: "guest", log });
  await up(guest);
  await guest[Symbol.asyncDispose]();
});

test("whatever the history, the next file is the first one not applied, or it is refused", () => {
  const files = (names: string[]): MigrationFile[] =>
    names.map((name, index) => ({ number: index + 1, name, checksum: name, sql: "" }));
  fc.assert(
    fc.property(fc.uniqueArray(fc.string(), { maxLength: 6 }), fc.nat(6), fc.nat(6), (names, kept, changed) => {
      const all = files(names);
      const applied = all.slice(0, kept);
      expect(nextMigration(all, applied)).toBe(all[applied.length] ?? null);
      if (changed >= applied.length) return;
      const rewritten = all.map((file, index) => (index === changed ? { ...file, checksum: "other" } : file));
      expect(() => nextMigration(rewritten, applied)).toThrow(MigrationError);
      expect(() => nextMigration(all.slice(0, changed), applied)).toThrow(MigrationError);
    }),
  );
});
