// The typed caller of another role's routes. Its problems come through as our own; silence is `unavailable`.
import { Problem, problemDocument, problemFromDocument } from "../contracts/problems.js";
import { readAs } from "../contracts/read-as.js";
import type { Route, RouteAnswer, RouteCall } from "../contracts/route.js";

export interface RouteClient {
  /** @throws Problem what the role answered; `unavailable` when it does not answer in time or in the agreed form. */
  call<R extends Route>(route: R, request?: RouteCall<R> & { signal?: AbortSignal }): Promise<RouteAnswer<R>>;
}

export function createClient(options: {
  baseUrl: string;
  bearer: string | (() => Promise<string>);
  timeoutMs?: number;
}): RouteClient {
  const { baseUrl, bearer, timeoutMs = 10_000 } = options;
  return {
    async call<R extends Route>(route: R, request: RouteCall<R> & { signal?: AbortSignal } = {}) {
      const url = new URL(fillPath(route.path, request.params), baseUrl);
      for (const [name, value] of Object.entries(request.query ?? {}))
        if (value !== undefined) url.searchParams.set(name, String(value));
      const timeout = AbortSignal.timeout(timeoutMs);
      let response: Response;
      let body: unknown;
      try {
        response = await fetch(url, {
          method: route.method,
          headers: {
            authorization: `Bearer ${typeof bearer === "string" ? bearer : await bearer()}`,
            ...(request.body === undefined ? {} : { "content-type": "application/json" }),
          },
          body: request.body === undefined ? undefined : JSON.stringify(request.body),
          signal: request.signal === undefined ? timeout : AbortSignal.any([timeout, request.signal]),
        });
        body = await response.json();
      } catch (cause) {
        request.signal?.throwIfAborted();
        if (cause instanceof Problem) throw cause;
        throw new Problem("unavailable", `The ${route.tag} service does not answer.`, { cause });
      }
      const expected = route.responses[response.status];
      if (expected !== undefined) {
        const parsed = readAs(expected.schema, body);
        if (parsed.success) return { status: response.status, body: parsed.data } as RouteAnswer<R>;
        throw new Problem("unavailable", `The ${route.tag} service answered in an unknown form.`, {
          cause: parsed.error,
        });
      }
      const problem = readAs(problemDocument, body);
      if (problem.success) throw problemFromDocument(problem.data);
      throw new Problem("unavailable", `The ${route.tag} service answered ${response.status}.`);
    },
  };
}

/**
 * Any of several that answer alike, each as likely as the others; one that does not answer is passed over. Only for
 * calls that may be made twice.
 */
export function anyOf(clients: () => readonly RouteClient[], random: () => number): RouteClient {
  return {
    async call(route, request) {
      const left = [...clients()];
      for (;;) {
        const [client] = left.splice(Math.floor(random() * left.length), 1);
        if (client === undefined) throw new Error("there is at least one to call");
        try {
          return await client.call(route, request);
        } catch (error) {
          const passing = error instanceof Problem && error.type === "unavailable";
          if (!passing || left.length === 0) throw error;
        }
      }
    },
  };
}

/** `/vm/:vmId` with its parameters filled in, URL-encoded. */
export function fillPath(path: string, params: Record<string, unknown> = {}): string {
  return path.replace(/:(\w+)/g, (_, name: string) => {
    const value = params[name];
    if (value === undefined) throw new Error(`path parameter ${name} is missing`);
    return encodeURIComponent(String(value));
  });
}
