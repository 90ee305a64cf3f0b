// The platform's own tables, in a schema beside the roles': several roles of one database share them.
import { join } from "node:path";
import type { Database } from "./database.js";
import type { Log } from "./log.js";
import { migrate } from "./migrations.js";

export const migratePlatform = (database: Database, log: Log): Promise<void> =>
  migrate(database, { schema: "platform", directory: join(import.meta.dirname, "migrations"), log });
