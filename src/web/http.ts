// Serves the pages: the player's, and the API reference. Static files, a strict content security policy, and the
// exchange of a link's key for a cookie.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import fastifyStatic from "@fastify/static";
import type { FastifyReply } from "fastify";
import { openApiDocument } from "../contracts/openapi.js";
import { Problem } from "../contracts/problems.js";
import { allRoutes, platformRoutes } from "../contracts/routes.js";
import { cookieName } from "../platform/auth.js";
import { type HttpServer, serve } from "../platform/http.js";

const here = dirname(fileURLToPath(import.meta.url));
const swaggerFolder = dirname(createRequire(import.meta.url).resolve("swagger-ui-dist/package.json"));

const contentSecurityPolicy = [
  "default-src 'self'",
  "connect-src 'self' ws: wss:",
  "img-src 'self' data:",
  "media-src 'self' blob: mediastream:",
  "style-src 'self'",
  "object-src 'none'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "form-action 'self'",
].join("; ");
// Swagger UI sets style attributes on its own elements.
const referencePolicy = contentSecurityPolicy.replace("style-src 'self'", "style-src 'self' 'unsafe-inline'");

export async function mountWeb(server: HttpServer, { version }: { version: string }): Promise<void> {
  const { app, authenticator } = server;
  const openApi = JSON.stringify(openApiDocument(allRoutes, version), null, 2);
  const page = (folder: string, policy: string) => {
    const html = readFileSync(join(here, folder, "index.html"), "utf8");
    return async (_request: unknown, reply: FastifyReply) =>
      reply
        .type("text/html; charset=utf-8")
        .headers({ "content-security-policy": policy, "cache-control": "no-cache" })
        .send(html);
  };

  app.get("/", page("play", contentSecurityPolicy));
  app.get("/docs", page("docs", referencePolicy));
  app.get("/docs/", async (_request, reply) => reply.redirect("/docs"));
  app.get("/favicon.ico", async (_request, reply) => reply.redirect("/assets/icon.svg"));
  app.get("/openapi.json", async (_request, reply) => reply.type("application/json").send(openApi));
  await app.register(fastifyStatic, {
    root: [join(here, "play"), join(here, "../public")],
    prefix: "/assets/",
    index: false,
    // The SDK is for integrators' pages too; what it then opens is up to tickets and allowedOrigins.
    setHeaders: (reply, path) => {
      if (path.endsWith("/player.js")) void reply.header("access-control-allow-origin", "*");
    },
  });
  await app.register(fastifyStatic, {
    root: [join(here, "docs"), swaggerFolder],
    prefix: "/docs/",
    index: false,
    decorateReply: false,
  });

  serve(server, platformRoutes.cookie, async ({ body, reply, raw }) => {
    const cookie = authenticator.mintCookie(body.key);
    const caller = authenticator.fromKey(body.key);
    if (cookie === null || caller === null || !("tenant" in caller))
      throw new Problem("unauthenticated", "This key is not known here: open the link that `npm start` printed last.");
    void reply.setCookie(cookieName, cookie.value, {
      path: "/",
      httpOnly: true,
      sameSite: "strict",
      secure: raw.protocol === "https",
      maxAge: cookie.maxAgeSeconds,
    });
    return { status: 200, body: { scope: caller.kind, tenant: caller.tenant } };
  });
}
