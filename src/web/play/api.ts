// Calls of the server's HTTP surface with the page's cookie, typed by the contracts' routes.
import { type ProblemDocument, problemDocument } from "../../contracts/problems.js";
import { readAs } from "../../contracts/read-as.js";
import type { Route, RouteAnswer, RouteCall } from "../../contracts/route.js";

const answerMsMax = 20_000;

/** The server refused, or (null) did not answer in the agreed form. */
export class ApiFailure extends Error {
  override name = "ApiFailure";
  constructor(
    readonly problem: ProblemDocument | null,
    cause?: unknown,
  ) {
    super(problem?.detail ?? problem?.title ?? "no answer", { cause });
  }
}

/** @throws ApiFailure; the signal's reason when it aborts. */
export async function call<R extends Route>(
  route: R,
  request: RouteCall<R> & { signal?: AbortSignal } = {},
): Promise<RouteAnswer<R>> {
  const { body, params, signal } = request;
  const timeout = AbortSignal.timeout(answerMsMax);
  let response: Response;
  let answer: unknown;
  try {
    response = await fetch(fillPath(route.path, params), {
      method: route.method,
      credentials: "same-origin",
      headers: body === undefined ? {} : { "content-type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
    answer = await response.json();
  } catch (cause) {
    signal?.throwIfAborted();
    throw new ApiFailure(null, cause);
  }
  const expected = route.responses[response.status];
  const parsed = expected && readAs(expected.schema, answer);
  if (parsed?.success) return { status: response.status, body: parsed.data } as RouteAnswer<R>;
  const problem = readAs(problemDocument, answer);
  throw new ApiFailure(problem.success ? problem.data : null, parsed?.error);
}

const fillPath = (path: string, params: Readonly<Record<string, unknown>> = {}): string =>
  path.replace(/:(\w+)/g, (_, name: string) => encodeURIComponent(String(params[name])));
