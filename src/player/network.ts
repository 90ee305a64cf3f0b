// Whether the device may have gone from one network to another: what the browser tells of it.

/** W3C Network Information, where it exists with a type. TypeScript's DOM does not know it. */
type WithNetworkInformation = Navigator & { readonly connection?: EventTarget & { readonly type?: string } };

/** Calls `changed` when the device is online again, or on a network of another kind, until `signal` aborts. */
export function watchNetwork(changed: () => void, signal: AbortSignal): void {
  window.addEventListener("online", changed, { signal });
  const network = (navigator as WithNetworkInformation).connection;
  let type = network?.type;
  // It also changes with every estimate of the speed.
  network?.addEventListener("change", () => type !== (type = network.type) && changed(), { signal });
}
