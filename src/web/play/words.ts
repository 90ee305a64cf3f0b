// Every sentence the page may need to say about how things go, in one place: what happened, and what to do.
//
// Complete by type: a new end reason or problem kind does not compile before it has words.
import type { PresetId, RegionId, VideoMode } from "../../contracts/catalog.js";
import type { LatencyStage, RecentLatency } from "../../contracts/latency.js";
import type { ProblemDocument } from "../../contracts/problems.js";
import type { EndReason } from "../../contracts/session.js";
import type { StreamInfo } from "../../contracts/signalling.js";
import type { QuotaLimit } from "../../contracts/tenants.js";
import type { PlayerProblem, PlayerStats, ProblemKind, Progress } from "../../player/player.js";
import type { Step } from "./phase.js";

export interface Message {
  readonly title: string;
  readonly text: string;
  /** What the main button does: start anew, come back to the same session, load the page again. */
  readonly next: "play-again" | "try-again" | "reload";
}

const again = (title: string, text: string): Message => ({ title, text, next: "play-again" });
const retry = (title: string, text: string): Message => ({ title, text, next: "try-again" });
const reload = (title: string, text: string): Message => ({ title, text, next: "reload" });

export const nextWords: Record<Message["next"], string> = {
  "play-again": "Play again",
  "try-again": "Try again",
  reload: "Reload the page",
};

const endWords: Record<EndReason, Message> = {
  "ended-by-player": again("Thanks for playing", "You ended the session. Your seat is free for someone else."),
  "ended-by-request": again("The session was ended", "You, or whoever runs this server, ended it."),
  "nobody-joined": again("Your seat was given away", "Nobody sat down in time. Press Play again for a new one."),
  "player-left": again("You were away too long", "The connection was gone, so the seat was freed after a while."),
  idle: again("Still there?", "Nothing was pressed for a long time, so the session was ended to free the seat."),
  "duration-limit": again("Time is up", "Sessions have a longest duration, and this one reached it."),
  "game-exited": again("Game over", "The game has ended. Play again?"),
  "no-capacity": again("All seats are taken", "No machine had room for you in time. Try again in a few minutes."),
  "wait-abandoned": again(
    "Your place in line was given up",
    "This page was closed or offline for too long. Press Play again to join the line.",
  ),
  "vm-failed": again("The machine broke down", "It failed while you were on it, and no other had room for you."),
  "vm-terminated": again("The machine was switched off", "Whoever runs this server took it out of service."),
  "stream-failed": again(
    "The stream failed",
    "The machine could not keep sending the picture. A new session often helps.",
  ),
};

export function wordsForEnd(reason: EndReason, detail: string): Message {
  const words = endWords[reason];
  return reason === "game-exited" && detail !== "" ? { ...words, text: detail } : words;
}

const problemWords: Record<ProblemKind, Message> = {
  unreachable: retry(
    "The server does not answer",
    "Check that you are online and that Hotseat is still running. A proxy or firewall that forbids WebSockets also looks like this.",
  ),
  unavailable: retry(
    "The server is not ready",
    "Part of it does not answer right now. It usually comes back within a minute.",
  ),
  refused: retry("This seat is not yours any more", "The right to join it has run out. Try again to get a new one."),
  "not-found": again("That session is gone", "The server does not know it any more. Start a new one."),
  over: again("The session is over", "It ended while this page was away."),
  "taken-over": retry(
    "Playing somewhere else",
    "This session was opened in another tab or window. You can take it back here.",
  ),
  "no-answer": retry(
    "The machine does not answer",
    "It has your seat, but did not reply within 10 seconds. Try again.",
  ),
  "network-blocked": retry(
    "Your network blocks the picture",
    "The server is there, but video (UDP) does not get through. Turn off a VPN, try another network, or ask whoever runs this server for a TURN relay.",
  ),
  "connection-lost": retry(
    "The connection was lost",
    "It did not come back by itself. Check your network; your seat is kept for a little while.",
  ),
  unsupported: reload(
    "This browser cannot play",
    "It needs WebRTC with H.264 video. A current Chrome, Edge, Firefox or Safari has both.",
  ),
  misunderstood: reload("This page is out of date", "The server speaks another version of it. Load the page again."),
};

export function wordsForProblem({ kind, detail }: PlayerProblem): Message {
  const words = problemWords[kind];
  // What the server adds here is what was just said.
  return detail === null || kind === "taken-over"
    ? words
    : { ...words, text: `${words.text} The server says: “${detail}”` };
}

/** The tenant is whoever gave the page its key: a player hears what it means, not whose limit it is. */
const quotaWords: Record<QuotaLimit, Message> = {
  sessions: retry("All places are taken", "As many people play here as may at once. Try again when somebody has left."),
  waiting: retry("The line is full", "No seat is free, and no more people may wait for one. Try again in a minute."),
  vms: retry("No machine for you just now", "As many machines run as may at once. Try again in a few minutes."),
};

/** What an HTTP call answered; null: it did not answer, or not in the agreed form. */
export function wordsForAnswer(problem: ProblemDocument | null): Message {
  if (problem === null)
    return retry(
      "The server does not answer",
      "Check that you are online and that Hotseat is still running, then try again.",
    );
  const said = problem.detail ?? problem.title;
  if (problem.status === 401) return keyNeeded.rejected;
  if (problem.status === 403) return retry("Not with this key", `Your key may not do that. ${said}`);
  if (problem.status === 404) return again("There is no such thing", said);
  if (problem.limit !== undefined) return quotaWords[problem.limit];
  if (problem.status === 429) return retry("A little slower, please", said);
  if (problem.status === 503) return retry("The server is not ready", `${said} It usually comes back within a minute.`);
  if (problem.status >= 500)
    return retry("Something broke on the server", "It is not your fault. Try again in a moment.");
  return retry("That did not work", said);
}

export const keyNeeded = {
  missing: retry(
    "A key opens the door",
    "Open the link that npm start printed in the terminal, or paste its key here.",
  ),
  wrong: retry(
    "This key does not fit",
    "It may be from an earlier start, or cut short. Open the link that npm start printed last, or paste its key here.",
  ),
  rejected: retry(
    "Your key has run out",
    "Open the link that npm start printed in the terminal again, or paste its key here.",
  ),
};

export const stepWords: Record<Step, string> = {
  "finding-seat": "Finding a seat",
  "starting-machine": "Starting the machine",
  connecting: "Connecting",
};

/** What is going on in a step, as a sentence. */
export function wordsForStep(step: Step, progress: Progress | null): string {
  if (step === "connecting") return "Your seat is ready. Opening the line…";
  const about = progress?.etaSeconds == null ? "" : ` About ${wordsForSeconds(progress.etaSeconds)} to go.`;
  if (step === "starting-machine") return `A machine is being started for you.${about}`;
  if (progress?.position == null) return "Looking for a machine with room for you…";
  const place = progress.position === 1 ? "You are next in line." : `You are number ${progress.position} in line.`;
  return `${place}${about}`;
}

export function wordsForSeconds(seconds: number): string {
  if (seconds < 1.5) return "a second";
  if (seconds < 55) return `${Math.round(seconds)} seconds`;
  const minutes = Math.round(seconds / 60);
  return minutes <= 1 ? "a minute" : `${minutes} minutes`;
}

export const presetWords: Record<PresetId, string> = {
  "default-high": "1440p · 120 fps",
  "default-standard": "1080p · 60 fps",
  "default-competitive": "1080p · 240 fps",
};

export const regionWords: Record<RegionId, string> = {
  "us-east-1": "US East",
  "us-west-2": "US West",
  "eu-west-1": "Ireland",
  "eu-central-1": "Frankfurt",
  "ap-southeast-1": "Singapore",
  "ap-northeast-1": "Tokyo",
};

/** `720p60`, or the full size where the height says too little. */
export const wordsForMode = ({ width, height, fps }: VideoMode): string =>
  Math.abs(width / height - 16 / 9) < 0.02 ? `${height}p${fps}` : `${width}×${height} at ${fps}`;

/** Why the picture is not what was asked for, or its encoder not the first. Empty: it is. */
export function wordsForWhy({ asked, mode, why }: Pick<StreamInfo, "asked" | "mode" | "why">): string {
  if (why === null) return "";
  const less = wordsForMode(asked) !== wordsForMode(mode);
  return less ? `Asked for ${wordsForMode(asked)}: ${why}.` : `${why}.`;
}

export function wordsForStats({ fps, bitrateKbps, rttMs }: Pick<PlayerStats, "fps" | "bitrateKbps" | "rttMs">): string {
  const rtt = rttMs === null ? "" : ` · ${rttMs < 1 ? "<1" : Math.round(rttMs)} ms`;
  return `${Math.round(fps)} fps · ${(bitrateKbps / 1000).toFixed(1)} Mbps${rtt}`;
}

export const latencyWords: Record<LatencyStage, string> = {
  total: "Input to picture",
  network: "Network, both ways",
  wait: "Wait for a frame",
  draw: "Draw",
  encode: "Encode",
  send: "Send",
  decode: "Decode",
  present: "Show",
};

/** A tenth is as fine as anybody feels it; null: not measured. */
export const wordsForMs = (ms: number | null): string => (ms === null ? "–" : ms < 100 ? ms.toFixed(1) : ms.toFixed(0));

export function latencyFootnote({ inputs, skipped, heldBack, jitterMs, lossRatio }: RecentLatency): string {
  const count = (number: number, one: string, many: string) => `${number} ${number === 1 ? one : many}`;
  const missing = skipped + heldBack;
  return [
    `Last 10 s: ${count(inputs, "input", "inputs")}`,
    `jitter ${wordsForMs(jitterMs)} ms`,
    ...(lossRatio === 0 ? [] : [`${wordsForMs(lossRatio * 100)} % lost`]),
    ...(missing === 0 ? [] : [`${count(missing, "frame", "frames")} left out`]),
  ].join(" · ");
}
