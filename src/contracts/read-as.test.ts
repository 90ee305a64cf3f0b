import { describe, expect, it } from "vitest";
import * as z from "zod";
import { readAs } from "./read-as.js";
import { hello } from "./signalling.js";

describe("what is sent", () => {
  it("is read as the schema has it", () => {
    expect(readAs(z.string().max(3).transform(Number), "12").data).toBe(12);
  });

  it("is refused with the reason", () => {
    expect(readAs(z.string().max(3), "1234").error?.issues).toMatchObject([{ code: "too_big" }]);
  });

  it("is refused when it cannot be measured, too: a length that no number can be made of", () => {
    const ticket = { length: { toString: 1 } };
    expect(readAs(hello, { type: "hello", ticket }).success).toBe(false);
    expect(readAs(z.set(z.string()).max(3), { size: ticket.length }).error?.issues).toMatchObject([{ path: [] }]);
  });

  it("never hides what a schema does wrong itself", () => {
    const broken = z.string().refine(() => {
      throw new RangeError("the schema's own");
    });
    expect(() => readAs(broken, "x")).toThrow("the schema's own");
  });
});
