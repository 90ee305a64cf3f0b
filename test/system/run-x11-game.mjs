// A real game in its room, for tests: opens the program it is told, and then does what it is told to the source.
import { randomInt } from "node:crypto";
import { readdirSync } from "node:fs";
import { missingPrograms } from "../../dist/agent/games/x11/missing-programs.js";
import { X11Game } from "../../dist/agent/games/x11/x11-game.js";

let game;
let picture;
const verbs = {
  missing: (programs) => missingPrograms(programs),
  open: async ({ title, program, mode }) => {
    game = await X11Game.open({ title, program, mode, random: () => randomInt(2 ** 31) / 2 ** 31 });
    picture = Buffer.alloc((mode.width * mode.height * 3) / 2);
  },
  input: (event) => game.input(event),
  draw: async () => {
    await game.draw(picture);
    return picture;
  },
  sound: (samples) => {
    const heard = new Int16Array(samples);
    game.sound(heard);
    return heard;
  },
  rest: () => game.rest(),
  notes: () => game.notes,
  exited: () => game.exited,
  close: () => game.close(),
  tmp: () => readdirSync("/tmp"),
};

process.on("message", async ({ id, verb, argument }) => {
  try {
    process.send({ id, result: await verbs[verb](argument) });
  } catch (error) {
    process.send({ id, error: error.message });
  }
});
process.on("disconnect", () => process.exit());
