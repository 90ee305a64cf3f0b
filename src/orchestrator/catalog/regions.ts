// The six regions, their fallback chains, and how far they are from each other.
import type { RegionId } from "../../contracts/catalog.js";

export const regionIds: readonly RegionId[] = [
  "us-east-1",
  "us-west-2",
  "eu-west-1",
  "eu-central-1",
  "ap-southeast-1",
  "ap-northeast-1",
];

/** Where a region's sessions go when it is full, by preference. Configuration may change them. */
export const fallbackChains: Readonly<Record<RegionId, readonly RegionId[]>> = {
  "us-east-1": ["us-west-2", "eu-west-1", "eu-central-1", "ap-northeast-1", "ap-southeast-1"],
  "us-west-2": ["us-east-1", "ap-northeast-1", "eu-west-1", "ap-southeast-1", "eu-central-1"],
  "eu-west-1": ["eu-central-1", "us-east-1", "us-west-2", "ap-southeast-1", "ap-northeast-1"],
  "eu-central-1": ["eu-west-1", "us-east-1", "ap-southeast-1", "us-west-2", "ap-northeast-1"],
  "ap-southeast-1": ["ap-northeast-1", "us-west-2", "eu-central-1", "us-east-1", "eu-west-1"],
  "ap-northeast-1": ["ap-southeast-1", "us-west-2", "us-east-1", "eu-central-1", "eu-west-1"],
};

// Typical round trips between cloud regions, ms. A player is taken to be at the region they ask for.
const distances: readonly (readonly [RegionId, RegionId, number])[] = [
  ["us-east-1", "us-west-2", 65],
  ["us-east-1", "eu-west-1", 70],
  ["us-east-1", "eu-central-1", 92],
  ["us-east-1", "ap-southeast-1", 220],
  ["us-east-1", "ap-northeast-1", 150],
  ["us-west-2", "eu-west-1", 125],
  ["us-west-2", "eu-central-1", 145],
  ["us-west-2", "ap-southeast-1", 165],
  ["us-west-2", "ap-northeast-1", 98],
  ["eu-west-1", "eu-central-1", 25],
  ["eu-west-1", "ap-southeast-1", 175],
  ["eu-west-1", "ap-northeast-1", 205],
  ["eu-central-1", "ap-southeast-1", 158],
  ["eu-central-1", "ap-northeast-1", 225],
  ["ap-southeast-1", "ap-northeast-1", 70],
];
const withinRegionMs = 5;

const byPair = new Map(distances.flatMap(([a, b, ms]) => [[`${a} ${b}`, ms] as const, [`${b} ${a}`, ms] as const]));

/** Expected round trip in ms between a player near `from` and a VM in `to`. */
export function regionRttMs(from: RegionId, to: RegionId): number {
  return from === to ? withinRegionMs : byPair.get(`${from} ${to}`)!;
}
