// How the database is reached, for operators: asked at every scrape as every caller asks, through the pool.
import type { Database } from "./database.js";
import { askedWithin, Gauge, type Registry } from "./metrics.js";

const answerMsMax = 2_000;

export function databaseMeters(registry: Registry, database: Database): void {
  const registers = [registry];
  const ping = askedWithin(answerMsMax, () => database.query("select 1"));
  new Gauge({
    name: "hotseat_database_up",
    help: `1: the database answered this scrape within ${answerMsMax / 1000} s; 0: it did not`,
    registers,
    async collect() {
      const answered = await ping().then(
        () => true,
        () => false, // why not is in the log of whoever needed it
      );
      this.set(answered ? 1 : 0);
    },
  });
  new Gauge({
    name: "hotseat_database_connections",
    help: "Connections of this process's pool, by what they do",
    labelNames: ["state"],
    registers,
    collect() {
      const { active, idle } = database.load;
      this.set({ state: "active" }, active);
      this.set({ state: "idle" }, idle);
    },
  });
  new Gauge({
    name: "hotseat_database_waiting_callers",
    help: "Callers that wait for a connection of the pool",
    registers,
    collect() {
      this.set(database.load.waiting);
    },
  });
}
