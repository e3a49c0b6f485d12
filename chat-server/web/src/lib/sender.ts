import type { Outbox, Pending } from "./outbox";
import { RequestError, type Answer, type Request, type Trouble } from "./protocol";

const FIRST_WAIT = 1000;
const LONGEST_WAIT = 10_000;

export interface SenderEvents {
  stored(entry: Pending, ack: Answer<"message:send">): void;
  refused(entry: Pending, error: RequestError): void;
  /** The server can't store at the moment (and why, if it says so), or can again. */
  storing(able: boolean, why?: Trouble): void;
}

/**
 * Empties the outbox while the connection is there. One message of a room is under way at a time: a refused one (too fast,
 * store away) would otherwise be overtaken by those behind it. Rooms don't wait for each other.
 */
export class Sender {
  #online = false;
  readonly #busy = new Set<string>();
  readonly #waits = new Map<string, ReturnType<typeof setTimeout>>();
  readonly #failures = new Map<string, number>();
  /** The rooms of messages that the server could not store, for as long as these wait. */
  readonly #unstored = new Set<string>();
  #storing = true;
  /** Why the store refuses, where the server tells. */
  #why: Trouble | undefined;

  constructor(
    private readonly outbox: Outbox,
    private readonly request: Request,
    private readonly events: SenderEvents,
  ) {}

  /** Connected: whatever waited is sent again at once, under its own nonce. */
  start(): void {
    this.#online = true;
    this.#failures.clear();
    this.#unstored.clear();
    this.#storing = true;
    this.#why = undefined;
    this.#stopWaiting();
    for (const room of this.outbox.waitingRooms()) void this.pump(room);
  }

  stop(): void {
    this.#online = false;
    this.#stopWaiting();
  }

  async pump(room: string): Promise<void> {
    if (!this.#online || this.#busy.has(room) || this.#waits.has(room)) return;
    this.#busy.add(room);
    try {
      for (let entry = this.outbox.next(room); entry && this.#online; entry = this.outbox.next(room)) {
        const wait = await this.#send(entry);
        if (wait === undefined) continue;
        if (this.#online) this.#waits.set(room, setTimeout(() => this.#resume(room), wait));
        break;
      }
    } finally {
      this.#busy.delete(room);
    }
    // Discarded, refused or heard of: nothing is left that could not be stored.
    if (!this.outbox.next(room)) this.#stores(room, true);
    // A reconnect may have come while we were leaving.
    if (this.#online && !this.#waits.has(room) && this.outbox.next(room)) void this.pump(room);
  }

  /** Gives how long to wait before the same message is tried again; nothing if it is done with. */
  async #send(entry: Pending): Promise<number | undefined> {
    const { room, nonce, text } = entry;
    try {
      const ack = await this.request("message:send", { room, nonce, text });
      this.#failures.delete(room);
      this.#stores(room, true);
      this.events.stored(entry, ack);
      this.outbox.settle(room, nonce);
      return undefined;
    } catch (cause) {
      // Heard from the bus meanwhile: it is stored, whatever became of the ack.
      if (!this.outbox.find(room, nonce)) return undefined;
      const error = cause instanceof RequestError ? cause : RequestError.from(cause);
      if (error.code === "unavailable") this.#stores(room, false, error.store);
      if (!error.temporary) {
        this.events.refused(entry, error);
        return undefined;
      }
      // The socket was changed under it: another one is there already, or `stop` is about to be called.
      if (error.code === "disconnected") return 100;
      const failures = this.#failures.get(room) ?? 0;
      this.#failures.set(room, failures + 1);
      return error.retryAfterMs ?? Math.min(FIRST_WAIT * 2 ** failures, LONGEST_WAIT);
    }
  }

  #stores(room: string, able: boolean, why?: Trouble): void {
    if (able) this.#unstored.delete(room);
    else this.#unstored.add(room);
    const all = this.#unstored.size === 0;
    if (able && !all) return;
    if (all !== this.#storing || why !== this.#why) this.events.storing(all, why);
    this.#storing = all;
    this.#why = why;
  }

  #resume(room: string): void {
    this.#waits.delete(room);
    void this.pump(room);
  }

  #stopWaiting(): void {
    for (const timer of this.#waits.values()) clearTimeout(timer);
    this.#waits.clear();
  }
}
