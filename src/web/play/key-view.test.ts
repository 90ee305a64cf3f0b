import { expect, test } from "vitest";
import { keyIn } from "./key-view.js";

test("the key is found in a link, in its fragment, and alone", () => {
  expect(keyIn("http://127.0.0.1:8080/#key=hs_abc-1_2")).toBe("hs_abc-1_2");
  expect(keyIn("#key=hs_abc")).toBe("hs_abc");
  expect(keyIn("  hs_abc\n")).toBe("hs_abc");
});
