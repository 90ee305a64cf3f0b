// Whether the game may be felt: the player's own word, kept in this browser; until it is given, what the system says about
// motion. And the phone's motor, where there is no gamepad to do it.
import type { PlayerEvents } from "../../player/player.js";

const key = "hotseat.rumble";

export function rumbleWanted(): boolean {
  const kept = localStorage.getItem(key);
  return kept === null ? !matchMedia("(prefers-reduced-motion: reduce)").matches : kept === "on";
}

export function keepRumble(wanted: boolean): void {
  localStorage.setItem(key, wanted ? "on" : "off");
}

/** A phone's motor knows no strength: a weaker effect is a shorter one. */
export function vibrate({ felt, strong, weak, durationMs }: PlayerEvents["rumble"]): void {
  if (!felt && matchMedia("(pointer: coarse)").matches) navigator.vibrate?.(durationMs * Math.max(strong, weak));
}
