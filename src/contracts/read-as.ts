// How what comes from outside is read, at every socket: what the schema makes of it, or why it is refused. It never throws
// for what somebody sent.
//
// zod's own `safeParse` does (4.6): it measures the `length` of whatever has one, also where a string was wanted, and a
// length that is an object with a `toString` that is no function cannot be compared (TypeError). 51 bytes of JSON as a
// first message ended a streaming node.
import * as z from "zod";

export function readAs<S extends z.ZodType>(schema: S, value: unknown): z.ZodSafeParseResult<z.output<S>> {
  try {
    return schema.safeParse(value);
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
    const message = `cannot be read: ${thrown.message}`;
    const error = new z.ZodError([{ code: "custom", path: [], message, input: value }]);
    return { success: false, error: error as z.ZodError<z.output<S>> };
  }
}
