// The process of one session, forked by the supervisor (protocol.ts says how). Everything native lives here: a crash in
// an add-on or a game costs this session and no other.
import { randomInt } from "node:crypto";
import { availableParallelism } from "node:os";
import { encoderDrivers } from "../encode/encoders.js";
import { rateSteps } from "../encode/rate-steps.js";
import { openerOfGames } from "../games/open-game.js";
import { inRoom } from "./protocol.js";
import { SessionProcess } from "./session-process.js";

// A signal to the whole group (Ctrl-C, a stopping service) reaches the supervisor too: that it ends us then, and how, is
// its to say, so it gets the first word. Alone with a signal, we end all the same.
const supervisorsWordMs = 1_000;

const end = new AbortController();
process.on("disconnect", () => end.abort());
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => setTimeout(() => end.abort(), supervisorsWordMs));

const session = new SessionProcess({
  games: openerOfGames({ inRoom: process.argv.includes(inRoom), seed: randomInt(2 ** 31), random: Math.random }),
  encoders: encoderDrivers,
  steps: rateSteps,
  cores: availableParallelism(),
  // When the channel is closed there is nobody to tell, and "disconnect" ends us.
  tell: (message) => process.connected && process.send?.(message, undefined, undefined, () => {}),
});
process.on("message", (message) => session.receive(message));

await session.run(end.signal);
process.exit(0);
