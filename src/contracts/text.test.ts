import fc from "fast-check";
import { expect, it } from "vitest";
import { fitted, text } from "./text.js";

it("text of whatever origin fits once it is fitted: a game's last words may be any bytes", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string(), fc.nat(20), (odd, plain, charsMax) => {
      const said = `${odd}\ud83d${plain}\u0000${odd}`;
      expect(text(charsMax).safeParse(fitted(said, charsMax)).success).toBe(true);
    }),
  );
  expect(fitted("four 😀", 6)).toBe("four \ufffd");
  expect(fitted("fine 😀", 7)).toBe("fine 😀");
});
