// The way to PostgreSQL: a small pool, transactions that are retried, notifications that survive a lost connection.
//
// A caller sees three kinds of failure: `Problem("unavailable")` when the database does not answer, is overloaded or
// takes too long (whether a commit in flight took place is then unknown: verbs are keyed by ids and safe to repeat);
// pg's DatabaseError for everything the statement itself did (a violated constraint has its SQLSTATE in `code`); and
// its own errors. Five connections are enough: writes go in batches, two of seats given and two of seats given back at
// once (measured: with 3 these wait for each other, and a second replica beside the first was a quarter faster).
//
// Generic plans: a custom plan for each value costs more than our small indexed statements do.
import { setTimeout as sleep } from "node:timers/promises";
import pg from "pg";
import { Problem } from "../contracts/problems.js";
import { backoffMs } from "./clock.js";
import { listenTo, type NoticeHandler } from "./database-listener.js";
import type { Log } from "./log.js";

const poolSizeDefault = 5;
const connectMsMax = 5_000;
const statementMsDefault = 10_000;
const idleInTransactionMsMax = 15_000;
const attemptsMax = 5;
/** How much later than the server this side gives up on a statement: then the connection itself is dead. */
const silenceMsMax = 5_000;

/** SQL; with a name it is prepared once per connection, which saves parsing a hot statement each time. */
export type Statement = string | { readonly name: string; readonly text: string };

export interface Queryable {
  /** The rows. `T` is the caller's promise about the statement's columns; int8 comes as a number. */
  query<T = unknown>(statement: Statement, values?: readonly unknown[]): Promise<T[]>;
  /** @throws Error when there is not exactly one row */
  one<T = unknown>(statement: Statement, values?: readonly unknown[]): Promise<T>;
  /** @throws Error when there is more than one row */
  maybeOne<T = unknown>(statement: Statement, values?: readonly unknown[]): Promise<T | null>;
}

export interface Database extends Queryable, AsyncDisposable {
  /**
   * Runs `fn` in a READ COMMITTED transaction; a throw rolls it back. After a deadlock or serialization failure `fn`
   * runs again, at most 5 times in all, so it must change nothing but the database.
   */
  transaction<R>(fn: (tx: Queryable) => Promise<R>, limits?: { statementMsMax?: number }): Promise<R>;
  /** Hears NOTIFY on its own connection until disposed; `listening` comes first and after every gap: read again then. */
  listen(channel: string, handler: NoticeHandler): AsyncDisposable;
  /** The pool now: connections in use and idle, and callers that wait for one. */
  readonly load: { readonly active: number; readonly idle: number; readonly waiting: number };
}

export function openDatabase(options: { url: string; applicationName: string; log: Log; poolSize?: number }): Database {
  return new PooledDatabase(options);
}

abstract class Rows implements Queryable {
  abstract query<T>(statement: Statement, values?: readonly unknown[]): Promise<T[]>;

  async one<T>(statement: Statement, values?: readonly unknown[]): Promise<T> {
    const row = await this.maybeOne<T>(statement, values);
    if (row === null) throw new Error(`expected one row, got none: ${textOf(statement)}`);
    return row;
  }

  async maybeOne<T>(statement: Statement, values?: readonly unknown[]): Promise<T | null> {
    const rows = await this.query<T>(statement, values);
    if (rows.length > 1) throw new Error(`expected at most one row, got ${rows.length}: ${textOf(statement)}`);
    return rows[0] ?? null;
  }
}

class PooledDatabase extends Rows implements Database {
  readonly #pool: pg.Pool;
  readonly #config: pg.ClientConfig;
  readonly #log: Log;
  readonly #listeners = new Set<AsyncDisposable>();

  constructor({ url, applicationName, log, poolSize = poolSizeDefault }: Parameters<typeof openDatabase>[0]) {
    super();
    this.#log = log;
    this.#config = {
      connectionString: url,
      application_name: applicationName,
      connectionTimeoutMillis: connectMsMax,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      types: { getTypeParser },
      options: [
        "-c plan_cache_mode=force_generic_plan",
        `-c statement_timeout=${statementMsDefault}`,
        `-c idle_in_transaction_session_timeout=${idleInTransactionMsMax}`,
      ].join(" "),
    };
    this.#pool = new pg.Pool({ ...this.#config, max: poolSize, idleTimeoutMillis: 60_000 });
    this.#pool.on("error", (error) => {
      if (!this.#pool.ending) log.warn({ err: error }, "an idle database connection was lost");
    });
  }

  get load() {
    const { totalCount, idleCount, waitingCount } = this.#pool;
    return { active: totalCount - idleCount, idle: idleCount, waiting: waitingCount };
  }

  override async query<T>(statement: Statement, values?: readonly unknown[]): Promise<T[]> {
    return this.#repeated((connection) => connection.query<T>(statement, values));
  }

  async transaction<R>(fn: (tx: Queryable) => Promise<R>, limits: { statementMsMax?: number } = {}): Promise<R> {
    return this.#repeated((connection) => connection.transaction(fn, limits.statementMsMax));
  }

  /** A statement on its own is a transaction too: after a deadlock both are done again. */
  async #repeated<R>(run: (connection: Connection) => Promise<R>): Promise<R> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#withConnection(run);
      } catch (error) {
        if (!mustRepeat(error)) throw error;
        if (attempt === attemptsMax) throw new Problem("unavailable", "The database is too busy.", { cause: error });
        this.#log.debug({ err: error, attempt }, "the transaction is repeated");
        await sleep(backoffMs(attempt, Math.random(), { baseMs: 5, capMs: 200 }));
      }
    }
  }

  listen(channel: string, handler: NoticeHandler): AsyncDisposable {
    const listener = listenTo({ config: this.#config, channel, handler, log: this.#log });
    this.#listeners.add(listener);
    return {
      [Symbol.asyncDispose]: async () => {
        this.#listeners.delete(listener);
        await listener[Symbol.asyncDispose]();
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#listeners].map((listener) => listener[Symbol.asyncDispose]()));
    if (!this.#pool.ended) await this.#pool.end();
  }

  /** The pool's own `query` would throw its connection away after every failed statement. */
  async #withConnection<R>(use: (connection: Connection) => Promise<R>): Promise<R> {
    const client = await this.#pool.connect().catch((error) => {
      throw translate(error);
    });
    const connection = new Connection(client);
    client.on("error", connection.lose); // a lost connection also fails the statement in flight
    try {
      return await use(connection);
    } finally {
      client.off("error", connection.lose);
      client.release(connection.lost);
    }
  }
}

class Connection extends Rows {
  lost = false;
  #statementMsMax = statementMsDefault;

  constructor(private readonly client: pg.PoolClient) {
    super();
  }

  readonly lose = (): void => {
    this.lost = true;
  };

  override async query<T>(statement: Statement, values?: readonly unknown[]): Promise<T[]> {
    const result = await this.#send(statement, values);
    return result.rows as T[];
  }

  async transaction<R>(fn: (tx: Queryable) => Promise<R>, statementMsMax?: number): Promise<R> {
    await this.#send("begin isolation level read committed");
    const tx = new Transaction(this);
    try {
      if (statementMsMax !== undefined) await this.#limitStatements(statementMsMax);
      const result = await fn(tx);
      tx.close();
      const { command } = await this.#send("commit");
      // PostgreSQL answers COMMIT of a failed transaction with ROLLBACK, without an error.
      if (command !== "COMMIT")
        throw new Error("a statement of the transaction failed and its error was not thrown on");
      return result;
    } catch (error) {
      tx.close();
      if (!this.lost) await this.#send("rollback").catch(this.lose);
      throw error;
    }
  }

  async #limitStatements(ms: number): Promise<void> {
    await this.#send(`set local statement_timeout = ${Math.ceil(ms)}`);
    this.#statementMsMax = ms;
  }

  async #send(statement: Statement, values?: readonly unknown[]): Promise<pg.QueryResult> {
    const limited: pg.QueryConfig & { query_timeout: number } = {
      ...(typeof statement === "string" ? { text: statement } : statement),
      values: values as unknown[] | undefined,
      query_timeout: this.#statementMsMax + silenceMsMax,
    };
    try {
      const result: pg.QueryResult | pg.QueryResult[] = await this.client.query(limited);
      return Array.isArray(result) ? result.at(-1) : result; // several statements in one text
    } catch (error) {
      const problem = translate(error);
      if (problem instanceof Problem && !(error instanceof pg.DatabaseError && error.severity === "ERROR")) this.lose();
      throw problem;
    }
  }
}

/** Ends with its transaction, so that a forgotten `await` cannot reach into the connection's next one. */
class Transaction extends Rows {
  #open = true;

  constructor(private readonly connection: Connection) {
    super();
  }

  close(): void {
    this.#open = false;
  }

  override async query<T>(statement: Statement, values?: readonly unknown[]): Promise<T[]> {
    if (!this.#open) throw new Error(`the transaction is over: ${textOf(statement)}`);
    return this.connection.query<T>(statement, values);
  }
}

const textOf = (statement: Statement) => (typeof statement === "string" ? statement : statement.text);

/** Deadlock or serialization failure: nothing happened, and it may go well now. */
const mustRepeat = (error: unknown) =>
  error instanceof pg.DatabaseError && (error.code === "40001" || error.code === "40P01");

/** SQLSTATEs of a server that cannot answer now: by class, and operator intervention and limits one by one. */
const isOverloaded = (code: string) =>
  /^(08|53|58)/.test(code) || ["57P01", "57P02", "57P03", "57P05", "57014", "55P03", "25P03", "25P04"].includes(code);

function translate(error: unknown): unknown {
  if (error instanceof pg.DatabaseError)
    return isOverloaded(error.code ?? "")
      ? new Problem("unavailable", "The database cannot answer now.", { cause: error })
      : error;
  // What else `pg` throws are lost, refused and silent connections, mostly without codes; but not mistakes in calling it.
  if (error instanceof TypeError || error instanceof RangeError) return error;
  return new Problem("unavailable", "The database does not answer.", { cause: error });
}

const int8 = 20;
const int8Array = 1016;

/** Counts and sequence numbers fit a number; one that does not is an error rather than rounded. */
function toSafeNumber(text: string): number {
  const number = Number(text);
  if (Number.isSafeInteger(number)) return number;
  throw new RangeError(`int8 ${text} does not fit a number: select it as text`);
}

const getTypeParser: typeof pg.types.getTypeParser = (oid: number, format?: "text" | "binary") => {
  const standard = pg.types.getTypeParser(oid, format as "text");
  if (format === "binary") return standard;
  if (oid === int8) return toSafeNumber;
  if (oid === int8Array)
    return (text: string) => standard(text).map((item: string | null) => item && toSafeNumber(item));
  return standard;
};
