import type { Message } from "./protocol";
import type { Store } from "./storage";
import { KEYS } from "./storage";

export interface Pending {
  room: string;
  nonce: string;
  text: string;
  /** This browser's clock; only for showing until the server's time is known. */
  at: number;
  state: "sending" | "failed";
  /** Why it failed, for the person. */
  problem?: string;
}

/**
 * Messages that are not known to be stored, in the order in which they were written. Each change is kept in the tab's
 * storage, so that a reload loses none. A nonce belongs to a user: kept entries of another user are never sent by themselves.
 */
export class Outbox {
  entries: readonly Pending[] = [];

  constructor(
    private readonly store: Store,
    private readonly changed: () => void = () => {},
  ) {}

  /** Take up what an earlier page of this tab left, once it is known who we are. */
  restore(user: string): void {
    if (this.#user === user) return;
    const kept = this.#user === undefined ? read(this.store) : { user: this.#user, entries: [...this.entries] };
    this.#user = user;
    // The old user's message may or may not have been stored, and under a new user the nonce can't tell.
    const foreign = kept !== undefined && kept.user !== user;
    const entries = (kept?.entries ?? []).map((entry): Pending =>
      foreign ? { ...entry, state: "failed", problem: "Your session ended before this was sent." } : entry,
    );
    this.#update(entries);
  }

  #user: string | undefined;

  add(entry: Pick<Pending, "room" | "nonce" | "text" | "at">): void {
    this.#update([...this.entries, { ...entry, state: "sending" }]);
  }

  /**
   * The store may have lost these: what of them is the user's own is sent again under its nonce, in the order of the log
   * and before all that was written since. It is stored once more, or was there all the time.
   */
  addLost(messages: readonly Message[]): void {
    const lost = messages.flatMap(({ room, nonce, by, text, at, deleted }): Pending[] =>
      by.id !== this.#user || deleted || this.find(room, nonce) ? [] : [{ room, nonce, text, at, state: "sending" }],
    );
    if (lost.length) this.#update([...lost, ...this.entries]);
  }

  /** Stored: known by its ack, or heard from the bus or the history under its nonce. True if it was waiting here. */
  settle(room: string, nonce: string | undefined): Pending | undefined {
    const entry = nonce === undefined ? undefined : this.find(room, nonce);
    if (entry) this.#update(this.entries.filter((other) => other !== entry));
    return entry;
  }

  fail(room: string, nonce: string, problem: string): void {
    this.#change(room, nonce, (entry) => ({ ...entry, state: "failed", problem }));
  }

  /** `nonce` is new only where the old one is taken by another text. It moves behind what is under way. */
  retry(room: string, nonce: string, fresh: string = nonce): void {
    const entry = this.find(room, nonce);
    if (!entry) return;
    const { problem: _, ...rest } = entry;
    this.#update([...this.entries.filter((other) => other !== entry), { ...rest, nonce: fresh, state: "sending" }]);
  }

  discard(room: string, nonce: string): void {
    this.settle(room, nonce);
  }

  discardRoom(room: string): void {
    this.#update(this.entries.filter((entry) => entry.room !== room));
  }

  clear(): void {
    this.#update([]);
    this.#user = undefined;
    this.store.remove(KEYS.outbox);
  }

  find(room: string, nonce: string): Pending | undefined {
    return this.entries.find((entry) => entry.room === room && entry.nonce === nonce);
  }

  /** The next to be sent in a room. One that failed for good does not hold up those behind it. */
  next(room: string): Pending | undefined {
    return this.entries.find((entry) => entry.room === room && entry.state === "sending");
  }

  waitingRooms(): string[] {
    return [...new Set(this.entries.filter((entry) => entry.state === "sending").map((entry) => entry.room))];
  }

  #change(room: string, nonce: string, change: (entry: Pending) => Pending): void {
    this.#update(this.entries.map((entry) => (entry.room === room && entry.nonce === nonce ? change(entry) : entry)));
  }

  #update(entries: readonly Pending[]): void {
    this.entries = entries;
    if (this.#user !== undefined) {
      if (entries.length) this.store.set(KEYS.outbox, JSON.stringify({ user: this.#user, entries }));
      else this.store.remove(KEYS.outbox);
    }
    this.changed();
  }
}

function read(store: Store): { user: string; entries: Pending[] } | undefined {
  try {
    const kept = JSON.parse(store.get(KEYS.outbox) ?? "null") as { user: string; entries: Pending[] } | null;
    return kept && Array.isArray(kept.entries) ? kept : undefined;
  } catch {
    return undefined;
  }
}

export function newNonce(): string {
  // randomUUID is only there on https and localhost; a chat on a plain address of a private network is usual.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
