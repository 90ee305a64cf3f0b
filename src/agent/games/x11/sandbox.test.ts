import { expect, test } from "vitest";
import { type Confined, confine, type Sandbox } from "./sandbox.js";

const sandbox: Sandbox = { uid: 1_900_000_000, home: "/tmp/home", sockets: "/tmp/sockets" };
const game: Confined = {
  command: ["/usr/games/game"],
  environment: {},
  network: false,
  limits: { memoryMb: 64, processesMax: 8 },
};
const pad = "/dev/input/event7";

test("a game sees no input device but the gamepads made for it, and has no group but theirs", () => {
  const without = confine(sandbox, game).join(" ");
  expect(without).not.toContain("/dev/input");
  expect(without).toContain("--clear-groups");
  const having = confine(sandbox, { ...game, devices: { nodes: [pad], group: 104 } }).join(" ");
  expect(having.match(/\/dev\/input\S*/g)).toEqual([pad, pad]);
  expect(having).toContain(`--dev-bind ${pad} ${pad}`);
  expect(having).toContain("--groups 104");
  expect(having).not.toContain("--clear-groups");
});
