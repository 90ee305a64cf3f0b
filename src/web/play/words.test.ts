import { expect, test } from "vitest";
import { presetId, regionId } from "../../contracts/catalog.js";
import { Problem, type ProblemType, problemTypes } from "../../contracts/problems.js";
import { endReason } from "../../contracts/session.js";
import { closeCodes } from "../../contracts/signalling.js";
import { quotaLimit } from "../../contracts/tenants.js";
import { recoveryFor } from "../../player/recovery.js";
import {
  keyNeeded,
  latencyFootnote,
  type Message,
  presetWords,
  regionWords,
  wordsForAnswer,
  wordsForEnd,
  wordsForMode,
  wordsForMs,
  wordsForProblem,
  wordsForSeconds,
  wordsForStats,
  wordsForStep,
  wordsForWhy,
} from "./words.js";

function expectClear({ title, text }: Message) {
  expect(title.length).toBeGreaterThan(3);
  expect(title.length).toBeLessThanOrEqual(40);
  expect(text).toMatch(/[.?!”]$/);
}

test("every end reason says what happened, and they differ", () => {
  const said = endReason.options.map((reason) => wordsForEnd(reason, ""));
  said.forEach(expectClear);
  expect(new Set(said.map(({ title }) => title)).size).toBe(said.length);
});

test("a game that ends by itself has the last word", () => {
  expect(wordsForEnd("game-exited", "You scored 4,200.").text).toBe("You scored 4,200.");
  expect(wordsForEnd("idle", "idle for 600 s").text).not.toContain("600");
});

test("every close code that ends a player has words", () => {
  for (const code of Object.values(closeCodes)) {
    const recovery = recoveryFor(code);
    if (recovery === "retry") continue;
    expectClear(wordsForProblem({ kind: recovery === "fresh-ticket" ? "refused" : recovery, detail: null }));
  }
});

test("what the server said is passed on", () => {
  expect(wordsForProblem({ kind: "refused", detail: "The ticket was used." }).text).toContain("The ticket was used.");
});

test("every problem type of the registry has words, and none of them shows a status number", () => {
  for (const type of Object.keys(problemTypes) as ProblemType[]) {
    const words = wordsForAnswer(new Problem(type, "A detail.").toDocument());
    expectClear(words);
    expect(words.title + words.text).not.toMatch(/\b[45]\d\d\b/);
  }
  expectClear(wordsForAnswer(null));
});

test("each limit of a tenant that is used up has words of its own, without its numbers", () => {
  const said = quotaLimit.options.map((limit) =>
    wordsForAnswer(new Problem("quota-exceeded", "7 of 7.", { quota: { limit, max: 7, used: 7 } }).toDocument()),
  );
  for (const message of said) {
    expectClear(message);
    expect(message.text).not.toMatch(/tenant|7/);
  }
  expect(new Set(said.map(({ title }) => title)).size).toBe(quotaLimit.options.length);
});

test("no key, a wrong key and a key that ran out are told apart, each with what to do", () => {
  for (const message of Object.values(keyNeeded)) {
    expectClear(message);
    expect(message.text).toContain("npm start");
  }
  expect(new Set(Object.values(keyNeeded).map(({ title }) => title)).size).toBe(3);
});

test("waiting says the place in line and the time, where they are known", () => {
  const queued = { status: "QUEUED", step: "finding-seat", position: 3, etaSeconds: 42, reason: null } as const;
  expect(wordsForStep("finding-seat", queued)).toBe("You are number 3 in line. About 42 seconds to go.");
  expect(wordsForStep("finding-seat", { ...queued, position: 1, etaSeconds: null })).toBe("You are next in line.");
  expect(wordsForStep("finding-seat", null)).toBe("Looking for a machine with room for you…");
  expect(wordsForStep("starting-machine", { ...queued, etaSeconds: 90 })).toBe(
    "A machine is being started for you. About 2 minutes to go.",
  );
});

test("seconds round to what a person would say", () => {
  expect([0, 1, 12.4, 54, 58, 89, 91, 600].map(wordsForSeconds)).toEqual([
    "a second",
    "a second",
    "12 seconds",
    "54 seconds",
    "a minute",
    "a minute",
    "2 minutes",
    "10 minutes",
  ]);
});

test("modes and figures are short", () => {
  expect(wordsForMode({ width: 1280, height: 720, fps: 60 })).toBe("720p60");
  expect(wordsForMode({ width: 1024, height: 768, fps: 30 })).toBe("1024×768 at 30");
  const stats = { fps: 59.6, bitrateKbps: 6_140, rttMs: 0.4 };
  expect(wordsForStats(stats)).toBe("60 fps · 6.1 Mbps · <1 ms");
  expect(wordsForStats({ ...stats, rttMs: null })).toBe("60 fps · 6.1 Mbps");
});

test("why a stream is not what was asked for names what was asked, if it is less, and is silent if nothing is wrong", () => {
  const [full, less] = [60, 30].map((fps) => ({ width: 1920, height: 1080, fps }));
  expect(wordsForWhy({ asked: full!, mode: full!, why: null })).toBe("");
  expect(wordsForWhy({ asked: full!, mode: less!, why: "the encoder is slow" })).toBe(
    "Asked for 1080p60: the encoder is slow.",
  );
  expect(wordsForWhy({ asked: full!, mode: full!, why: "h264_nvenc failed" })).toBe("h264_nvenc failed.");
});

test("every preset and region has a name", () => {
  expect(Object.keys(presetWords).sort()).toEqual([...presetId.options].sort());
  expect(Object.keys(regionWords).sort()).toEqual([...regionId.options].sort());
});

test("latency figures are told with what went wrong, and without what did not", () => {
  const recent = { inputs: 1, frames: 600, skipped: 0, heldBack: 0, stages: {}, fps: 60, jitterMs: 3.25, rttMs: 1 };
  expect(latencyFootnote({ ...recent, lossRatio: 0 })).toBe("Last 10 s: 1 input · jitter 3.3 ms");
  expect(latencyFootnote({ ...recent, inputs: 7, skipped: 3, heldBack: 2, lossRatio: 0.0125 })).toBe(
    "Last 10 s: 7 inputs · jitter 3.3 ms · 1.3 % lost · 5 frames left out",
  );
  expect([null, 0, 31.26, 1_234.5].map(wordsForMs)).toEqual(["–", "0.0", "31.3", "1235"]);
});
