// HTTP servers for the roles under test, on ports of their own.
import { Authenticator } from "../../src/platform/auth.js";
import { systemClock } from "../../src/platform/clock.js";
import { listenConfig } from "../../src/platform/config.js";
import { createHttpServer, type HttpServer, listen } from "../../src/platform/http.js";
import { createLog } from "../../src/platform/log.js";
import type { Secrets } from "../../src/platform/secrets.js";

export const log = createLog({ name: "test", level: process.env.HOTSEAT_TEST_LOG ?? "silent" });

/** Listens (port 0: anywhere) and returns the URL. */
export const listening = async (server: HttpServer, port = 0) => {
  const config = listenConfig.parse({ port });
  return `http://127.0.0.1:${await listen(server, config)}`;
};

export const newServer = (secrets: Secrets) =>
  createHttpServer({
    config: listenConfig.parse({ port: 0 }),
    authenticator: new Authenticator(secrets, systemClock),
    log,
  });
