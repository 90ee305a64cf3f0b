// The port to whoever has machines. Every verb is keyed by our VM id, which is also the client token and the tag of the
// instance, so that a crash between a call and its commit neither leaks a machine nor makes two.
//
// `conformance.ts` is the contract as tests; every driver passes it.
import type { RegionId, TemplateId } from "../../contracts/catalog.js";

export interface LaunchSpec {
  readonly vmId: string;
  /** Which launch of the VM this is: goes to its agent, together with the token. */
  readonly epoch: number;
  readonly region: RegionId;
  readonly templateId: TemplateId;
  /** Single-use: the agent trades it for a key of its own. */
  readonly bootstrapToken: string;
}

export interface Instance {
  readonly vmId: string;
  readonly state: "pending" | "running";
}

export interface Provider {
  /** How old a list may be when it is answered: clouds' lists lag behind what was launched and ended. */
  readonly listLagMsMax: number;
  /**
   * Asking again with the same vmId yields the instance there is.
   * @throws CapacityError there is no room for it now
   * @throws ProviderError it did not work for another reason; asking again may
   */
  launch(spec: LaunchSpec): Promise<void>;
  /** Resolves when the instance is ending or gone; one that is unknown is gone. @throws ProviderError */
  terminate(vmId: string): Promise<void>;
  /** Every instance of ours that exists, also those the database does not know. @throws ProviderError */
  list(): Promise<Instance[]>;
  /** Called when an instance started or was lost: a hint to list again, nothing more. */
  onChange(listener: () => void): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What has run out: a template in a region, or whatever the provider has. */
export type CapacityScope = "place" | "provider";

/** The provider has no room: the same request may succeed later, or elsewhere. */
export class CapacityError extends Error {
  override name = "CapacityError";
  constructor(
    message: string,
    readonly scope: CapacityScope,
  ) {
    super(message);
  }
}

/** The provider failed; `cause` is the vendor's own error. */
export class ProviderError extends Error {
  override name = "ProviderError";
}
