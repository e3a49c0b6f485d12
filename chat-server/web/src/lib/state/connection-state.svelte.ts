export type ConnectionStatus = "online" | "offline" | "connecting";

const QUIET_LOSS = 600;
const QUIET_HANDOVER = 5000;
const QUIET_OPENING = 1500;

export const LOST = "Connection lost. Trying again…";
export const UNREACHABLE = "Can’t reach the server. Trying again…";
export const STORE_AWAY = "The server can’t store messages right now; yours are kept and will be sent.";

/** What is true of the connection, and from when on it is worth a banner: a handover by a drain is nobody's concern. */
export class ConnectionState {
  state = $state<ConnectionStatus>("offline");
  /** False while sends are acked `unavailable`. */
  storing = $state(true);
  #why = $state<"unreachable" | "unavailable">("unreachable");
  #loud = $state(false);
  #wasOnline = $state(false);
  #timer: ReturnType<typeof setTimeout> | undefined;

  get banner(): string | undefined {
    if (this.state === "online") return this.storing ? undefined : STORE_AWAY;
    if (!this.#loud) return undefined;
    if (this.#why === "unavailable") return STORE_AWAY;
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

  failed(why: "unreachable" | "unavailable"): void {
    if (this.state === "online") return;
    this.#why = why;
    this.state = "offline";
  }

  established(): void {
    clearTimeout(this.#timer);
    this.state = "online";
    this.storing = true;
    this.#why = "unreachable";
    this.#loud = false;
    this.#wasOnline = true;
  }

  closed(): void {
    clearTimeout(this.#timer);
    this.state = "offline";
    this.storing = true;
    this.#loud = false;
    this.#wasOnline = false;
  }

  #waitFor(ms: number): void {
    clearTimeout(this.#timer);
    this.#loud = false;
    this.#timer = setTimeout(() => (this.#loud = true), ms);
  }
}
