// For tests: an empty database of their own in a temporary folder, gone with its folder when disposed.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type EmbeddedPostgres, startEmbeddedPostgres } from "./embedded-postgres.js";
import { createLog } from "./log.js";

export const silentLog = createLog({ name: "test", level: "silent" });

export async function startTestPostgres(): Promise<EmbeddedPostgres> {
  const folder = mkdtempSync(join(tmpdir(), "hotseat-test-"));
  const server = await startEmbeddedPostgres({ dataDir: join(folder, "postgres"), log: silentLog });
  const stop = async () => {
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  };
  return {
    url: server.url,
    get pid() {
      return server.pid;
    },
    adopted: server.adopted,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}
