// The bar's icons: 24 × 24 strokes.
import { svg } from "./element.js";

const paths = {
  play: "M8 5.5v13l11-6.5z",
  soundOn: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM15.5 9a4.2 4.2 0 0 1 0 6M18 6.5a8 8 0 0 1 0 11",
  soundOff: "M4 9.5v5h3.5L12 18.5v-13L7.5 9.5zM16 9.5l5 5M21 9.5l-5 5",
  fullscreen: "M4 9V4h5M15 4h5v5M20 15v5h-5M9 20H4v-5",
  window: "M9 4v5H4M20 9h-5V4M15 20v-5h5M4 15h5v5",
  latency: "M3 13h4l2.5-7 4.5 12 2.5-6H21",
  help: "M9 9.2a3 3 0 1 1 4.4 2.7c-.9.5-1.4 1-1.4 2.1M12 17.6v.1",
  end: "M12 3.5v8M6.6 7a8 8 0 1 0 10.8 0",
  check: "M5 12.5l4.5 4.5L19 7.5",
  close: "M6 6l12 12M18 6L6 18",
} as const;
export type IconName = keyof typeof paths;

export const icon = (name: IconName): SVGElement =>
  svg(
    "svg",
    { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" },
    svg("path", { d: paths[name], fill: name === "play" ? "currentColor" : "none" }),
  );
