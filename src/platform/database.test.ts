import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { Problem } from "../contracts/problems.js";
import { type Database, openDatabase } from "./database.js";
import type { Notice } from "./database-listener.js";
import type { EmbeddedPostgres } from "./embedded-postgres.js";
import { silentLog as log, startTestPostgres } from "./test-postgres.js";

let server: EmbeddedPostgres;
let db: Database;

beforeAll(async () => {
  server = await startTestPostgres();
  db = openDatabase({ url: server.url, applicationName: "database-test", log });
});
afterAll(async () => {
  await db[Symbol.asyncDispose]();
  await server.stop();
});
beforeEach(async () => {
  await db.query("drop table if exists counter");
  await db.query("create table counter (id int primary key, n int not null check (n >= 0))");
  await db.query("insert into counter values (1, 0), (2, 0)");
});

const unavailable = expect.objectContaining({ name: "Problem", type: "unavailable" });
const countOf = async (id: number) => (await db.one<{ n: number }>("select n from counter where id = $1", [id])).n;

describe("a query", () => {
  test("gives rows, exactly one, or one or none", async () => {
    expect(await db.query("select id from counter order by id")).toEqual([{ id: 1 }, { id: 2 }]);
    expect(await db.maybeOne("select id from counter where id = $1", [9])).toBeNull();
    await expect(db.one("select id from counter where id = 9")).rejects.toThrow("expected one row");
    await expect(db.maybeOne("select id from counter")).rejects.toThrow("at most one row");
  });

  test("is prepared once per connection when it has a name", async () => {
    const statement = { name: "count-of", text: "select n from counter where id = $1" };
    await db.transaction(async (tx) => {
      for (const id of [1, 2]) await tx.query(statement, [id]);
      const prepared = await tx.query(
        "select generic_plans::int as generic from pg_prepared_statements where name = 'count-of'",
      );
      expect(prepared).toEqual([{ generic: 2 }]);
    });
  });

  test("gives int8 as a number, and refuses to round one", async () => {
    expect(await db.one("select count(*) as n, array[1::int8, null] as ns from counter")).toEqual({
      n: 2,
      ns: [1, null],
    });
    await expect(db.query("select 9007199254740993::int8 as n")).rejects.toThrow("does not fit a number");
    expect(await db.one("select 1 as still_fine")).toEqual({ still_fine: 1 });
  });

  test("that violates a constraint fails with its SQLSTATE and keeps its connection", async () => {
    const one = openDatabase({ url: server.url, applicationName: "one", log, poolSize: 1 });
    const pid = await one.one("select pg_backend_pid() as pid");
    await expect(one.query("insert into counter values (1, 0)")).rejects.toMatchObject({ code: "23505" });
    expect(await one.one("select pg_backend_pid() as pid")).toEqual(pid);
    await one[Symbol.asyncDispose]();
  });

  test("that waits for a connection too long is unavailable, not stuck", async () => {
    const nobody = openDatabase({ url: "postgresql://u@localhost/x?host=/nowhere", applicationName: "none", log });
    await expect(nobody.query("select 1")).rejects.toEqual(unavailable);
    await nobody[Symbol.asyncDispose]();
  });
});

describe("a transaction", () => {
  test("commits together or not at all", async () => {
    const add = (fail: boolean) =>
      db.transaction(async (tx) => {
        await tx.query("update counter set n = n + 1");
        if (fail) throw new Problem("illegal-transition");
        return "done";
      });
    expect(await add(false)).toBe("done");
    await expect(add(true)).rejects.toMatchObject({ type: "illegal-transition" });
    expect([await countOf(1), await countOf(2)]).toEqual([1, 1]);
  });

  test("whose failed statement was swallowed does not pass for committed", async () => {
    const swallow = db.transaction(async (tx) => {
      await tx.query("update counter set n = 5");
      await tx.query("update counter set n = -1").catch(() => {});
    });
    await expect(swallow).rejects.toThrow("its error was not thrown on");
    expect(await countOf(1)).toBe(0);
  });

  test("that is over takes no more statements", async () => {
    const tx = await db.transaction(async (tx) => tx);
    await expect(tx.query("select 1")).rejects.toThrow("the transaction is over");
  });

  test("runs again after a deadlock, so that both sides commit", async () => {
    let attempts = 0;
    const both = barrier(2);
    const cross = (from: number, to: number) =>
      db.transaction(async (tx) => {
        attempts++;
        await tx.query("update counter set n = n + 1 where id = $1", [from]);
        await both();
        await tx.query("update counter set n = n + 1 where id = $1", [to]);
      });
    await Promise.all([cross(1, 2), cross(2, 1)]);
    expect(attempts).toBe(3);
    expect([await countOf(1), await countOf(2)]).toEqual([2, 2]);
  });

  test("is given up as unavailable when it fails that way five times", async () => {
    let attempts = 0;
    const fail = db.transaction(async (tx) => {
      attempts++;
      await tx.query("do $$ begin raise exception 'conflict' using errcode = '40001'; end $$");
    });
    await expect(fail).rejects.toEqual(unavailable);
    expect(attempts).toBe(5);
  });

  test("ends a statement that takes longer than it may", async () => {
    const slow = db.transaction((tx) => tx.query("select pg_sleep(30)"), { statementMsMax: 50 });
    await expect(slow).rejects.toEqual(unavailable);
    expect(await db.one("show statement_timeout")).toEqual({ statement_timeout: "10s" });
  });
});

describe("notifications", () => {
  test("arrive in order, after `listening`, and no more once disposed", async () => {
    const heard: Notice[] = [];
    const listening = db.listen("news", (notice) => heard.push(notice));
    await expect.poll(() => heard).toEqual([{ kind: "listening" }]);
    for (const payload of ["a", "b"]) await db.query("select pg_notify('news', $1)", [payload]);
    await expect.poll(() => heard.length).toBe(3);
    expect(heard.slice(1)).toEqual([
      { kind: "notified", payload: "a" },
      { kind: "notified", payload: "b" },
    ]);
    await listening[Symbol.asyncDispose]();
    const left = await db.query("select 1 from pg_stat_activity where query like 'listen%'");
    expect(left).toEqual([]);
  });

  test("say `listening` again after their connection was lost, and go on", async () => {
    const heard: string[] = [];
    await using _ = db.listen("news", (notice) =>
      heard.push(notice.kind === "notified" ? notice.payload : notice.kind),
    );
    await expect.poll(() => heard).toEqual(["listening"]);
    await db.query("select pg_terminate_backend(pid) from pg_stat_activity where query like 'listen%'");
    await expect.poll(() => heard, { timeout: 5_000 }).toEqual(["listening", "listening"]);
    await db.query("select pg_notify('news', 'after')");
    await expect.poll(() => heard.at(-1)).toBe("after");
  });

  test("a handler that throws does not end them", async () => {
    const heard: string[] = [];
    await using _ = db.listen("news", (notice) => {
      heard.push(notice.kind);
      throw new Error("handler");
    });
    await expect.poll(() => heard).toEqual(["listening"]);
    await db.query("select pg_notify('news', '')");
    await expect.poll(() => heard).toEqual(["listening", "notified"]);
  });
});

test("when the server dies, calls in flight and new ones are unavailable, and all is well when it is back", async () => {
  const inFlight = db.transaction(async (tx) => {
    await tx.query("update counter set n = 99");
    process.kill(server.pid, "SIGKILL");
    await tx.query("select pg_sleep(5)");
  });
  await expect(inFlight).rejects.toEqual(unavailable);
  await expect(db.query("select 1")).rejects.toEqual(unavailable);
  await expect
    .poll(() => db.one("select n from counter where id = 1").catch(() => null), { timeout: 10_000 })
    .toEqual({ n: 0 });
});

/** Holds the first `size` callers until all are there; lets later ones pass. */
function barrier(size: number): () => Promise<void> {
  let waiting = 0;
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return () => {
    if (++waiting === size) open();
    return opened;
  };
}
