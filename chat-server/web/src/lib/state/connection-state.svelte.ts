import type { Trouble } from "../protocol";

export type ConnectionStatus = "online" | "offline" | "connecting";

const QUIET_LOSS = 600;
const QUIET_HANDOVER = 5000;
const QUIET_OPENING = 1500;

export const LOST = "Connection lost. Trying again…";
export const UNREACHABLE = "Can’t reach the server. Trying again…";
export const STORE_AWAY = "The server can’t store messages right now; yours are kept and will be sent.";

/** Why the server can't store, for the person who writes: what it waits for. */
const TROUBLES: Partial<Record<Trouble, string>> = {
  read_only: "its storage is read-only",
  out_of_memory: "its storage is full",
  disk_failed: "its storage can’t write to its disk",
  too_few_replicas: "its storage lacks a copy",
  loading: "its storage is starting",
  busy: "its storage is busy",
  no_permission: "its storage denies it a permission",
  cluster_down: "its storage is down",
};

/** The banner while sends are acked `unavailable`. */
export function storeAway(why?: Trouble): string {
  const words = why && TROUBLES[why];
  return words ? STORE_AWAY.replace("right now", `right now (${words})`) : STORE_AWAY;
}

/** What is true of the connection, and from when on it is worth a banner: a handover by a drain is nobody's concern. */
export class ConnectionState {
  state = $state<ConnectionStatus>("offline");
  /** False while sends are acked `unavailable`. */
  storing = $state(true);
  #storeTrouble = $state<Trouble>();
  #why = $state<"unreachable" | "unavailable">("unreachable");
  #loud = $state(false);
  #wasOnline = $state(false);
  #timer: ReturnType<typeof setTimeout> | undefined;

  get banner(): string | undefined {
    if (this.state === "online") return this.storing ? undefined : storeAway(this.#storeTrouble);
    if (!this.#loud) return undefined;
    if (this.#why === "unavailable") return storeAway(this.#storeTrouble);
    return this.#wasOnline ? LOST : UNREACHABLE;
  }

  opening(): void {
    this.state = "connecting";
    this.#wasOnline = false;
    this.#waitFor(QUIET_OPENING);
  }

  lost(handover: boolean): void {
    this.state = handover ? "connecting" : "offline";
    this.#why = "unreachable";
    this.#waitFor(handover ? QUIET_HANDOVER : QUIET_LOSS);
  }

  failed(why: "unreachable" | "unavailable", cause?: Trouble): void {
    if (this.state === "online") return;
    this.#why = why;
    this.#storeTrouble = cause;
    this.state = "offline";
  }

  stores(able: boolean, why?: Trouble): void {
    this.storing = able;
    this.#storeTrouble = why;
  }

  established(): void {
    clearTimeout(this.#timer);
    this.state = "online";
    this.stores(true);
    this.#why = "unreachable";
    this.#loud = false;
    this.#wasOnline = true;
  }

  closed(): void {
    clearTimeout(this.#timer);
    this.state = "offline";
    this.stores(true);
    this.#loud = false;
    this.#wasOnline = false;
  }

  #waitFor(ms: number): void {
    clearTimeout(this.#timer);
    this.#loud = false;
    this.#timer = setTimeout(() => (this.#loud = true), ms);
  }
}
